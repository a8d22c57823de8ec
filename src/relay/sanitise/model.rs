//! A model's name with the effort in it: `gpt-5.4-high`.
//!
//! Many clients let their users choose a model and nothing else, so the effort travels in its name, in
//! the three spellings that other programs have taught people.

use std::borrow::Cow;

/// The efforts that a name may end in.
const EFFORTS: [&str; 6] = ["low", "medium", "high", "xhigh", "minimal", "none"];

/// The model that is meant and the effort in its name, given the slugs that exist (none of them known
/// where the list is empty).
pub(super) fn split<'a>(name: &'a str, models: &[String]) -> (Cow<'a, str>, Option<&'static str>) {
    let known = |slug: &str| models.iter().any(|model| model == slug);
    if known(name) {
        return (Cow::Borrowed(name), None);
    }
    // No slug of the subscription has a slash in it.
    let name = name.strip_prefix("openai/").unwrap_or(name);
    if known(name) {
        return (Cow::Borrowed(name), None);
    }
    for effort in EFFORTS {
        let marked = name.strip_suffix(effort).and_then(|base| base.strip_suffix(':'));
        let within = || name.strip_suffix(')')?.strip_suffix(effort)?.strip_suffix('(');
        if let Some(base) = marked.or_else(within)
            && !base.is_empty()
            && (models.is_empty() || known(base))
        {
            return (Cow::Borrowed(base), Some(effort));
        }
        // A name may end in such a word by itself: only a list can tell.
        let dashed = name.strip_suffix(effort).and_then(|base| base.strip_suffix('-'));
        if let Some(base) = dashed.filter(|base| known(base)) {
            return (Cow::Borrowed(base), Some(effort));
        }
    }
    (Cow::Borrowed(name), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effort_is_split_off_where_the_rest_is_a_model_and_the_whole_is_none() {
        let models = ["gpt-5.4", "gpt-5.4-max-high", "gpt-5.4-max"].map(str::to_owned);
        for (name, base, effort) in [
            ("gpt-5.4", "gpt-5.4", None),
            ("gpt-5.4-high", "gpt-5.4", Some("high")),
            ("gpt-5.4-xhigh", "gpt-5.4", Some("xhigh")),
            ("gpt-5.4:none", "gpt-5.4", Some("none")),
            ("gpt-5.4(minimal)", "gpt-5.4", Some("minimal")),
            ("openai/gpt-5.4-low", "gpt-5.4", Some("low")),
            ("openai/gpt-5.4", "gpt-5.4", None),
            ("gpt-5.4-max-high", "gpt-5.4-max-high", None),
            ("gpt-5.4-max-medium", "gpt-5.4-max", Some("medium")),
            ("gpt-9-high", "gpt-9-high", None),
            ("gpt-9:high", "gpt-9:high", None),
            ("gpt-5.4-", "gpt-5.4-", None),
            ("high", "high", None),
            (":high", ":high", None),
        ] {
            assert_eq!(split(name, &models), (Cow::Borrowed(base), effort), "{name}");
        }
    }

    #[test]
    fn where_nobody_knows_the_models_only_a_marked_effort_is_split_off() {
        assert_eq!(split("gpt-5.4-high", &[]), ("gpt-5.4-high".into(), None));
        assert_eq!(split("gpt-5.4:high", &[]), ("gpt-5.4".into(), Some("high")));
        assert_eq!(split("openai/gpt-5.4(low)", &[]), ("gpt-5.4".into(), Some("low")));
        assert_eq!(split("(low)", &[]), ("(low)".into(), None));
    }
}
