//! A list of models in YAML that gets some of ours, as more than one agent keeps it.

use super::agent::{Plugged, Refused, Replaced, Wants};
use super::yaml_text::{Node, YamlText};

/// What stands for a model where none is known and something has to be shown.
const MODEL_SHOWN: &str = "MODEL";

/// The models to list, the one that was asked for first.
///
/// # Errors
/// [`Refused::Shape`] where none is known.
pub(super) fn known(wants: &Wants) -> Result<Vec<&str>, Refused> {
    known_beside(wants, None)
}

/// The same, where one was `chosen` before and stays so unless another is asked for.
///
/// # Errors
/// As [`known`].
pub(super) fn known_beside<'m>(
    wants: &'m Wants,
    chosen: Option<&'m str>,
) -> Result<Vec<&'m str>, Refused> {
    let first = wants.model.as_deref().or(chosen);
    let others = wants.models.iter().map(String::as_str).filter(|model| Some(*model) != first);
    let known: Vec<&str> = first.into_iter().chain(others).collect();
    if known.is_empty() {
        return Err(Refused::Shape(
            "which models there are is not known; name one with `--model`".to_owned(),
        ));
    }
    Ok(known)
}

/// The models to show, or what stands for one.
pub(super) fn shown(wants: &Wants) -> Vec<&str> {
    known(wants).unwrap_or_else(|_| vec![MODEL_SHOWN])
}

/// The text with these items in a list at its top, in the place of older ones of ours.
///
/// # Errors
/// [`Refused`]
pub(super) fn plugged(
    text: &str,
    list: &str,
    items: &[Vec<String>],
    is_ours: fn(&Node) -> bool,
) -> Result<Plugged, Refused> {
    let mut plugged = Plugged { text: text.to_owned(), replaced: Replaced::new() };
    let now = YamlText::parse(text)?;
    if has_all(&now, list, items, is_ours)? {
        return Ok(plugged);
    }
    let emptied = now.items(list).iter().all(is_ours) && !now.items(list).is_empty();
    let without = now.without_items(list, is_ours)?;
    let now = YamlText::parse(&without)?;
    if let Some(before) = now.written(list).filter(|_| !emptied) {
        plugged.replaced.insert(list.to_owned(), before.to_owned());
    }
    plugged.text = now.with_items(list, items)?;
    unchanged(text, &plugged.text, &[], list, is_ours)?;
    let after = YamlText::parse(&plugged.text)?;
    if has_all(&after, list, items, is_ours)? { Ok(plugged) } else { Err(no_place(list)) }
}

/// The text without our items, and without their list where nothing else ever stood in it.
///
/// # Errors
/// [`Refused`]
pub(super) fn unplugged(
    text: &str,
    list: &str,
    replaced: &Replaced,
    is_ours: fn(&Node) -> bool,
) -> Result<String, Refused> {
    let now = YamlText::parse(text)?;
    if !now.items(list).iter().any(is_ours) {
        return Ok(text.to_owned());
    }
    let emptied = now.items(list).iter().all(is_ours);
    let mut left = now.without_items(list, is_ours)?;
    if emptied {
        let bare = YamlText::parse(&left)?;
        left = match replaced.get(list) {
            Some(before) => bare.with_top(list, before)?,
            None => bare.without_top(list),
        };
    }
    unchanged(text, &left, &[], list, is_ours)?;
    Ok(left)
}

/// What to put there by hand.
pub(super) fn by_hand(list: &str, items: &[Vec<String>]) -> String {
    let lines = items.iter().flatten().map(|line| format!("  {line}"));
    std::iter::once(format!("{list}:")).chain(lines).collect::<Vec<_>>().join("\n")
}

/// Makes sure, by the values, that an edit has changed nothing that is not ours.
///
/// # Errors
/// [`Refused::Shape`] where it has.
pub(super) fn unchanged(
    before: &str,
    after: &str,
    keys: &[&str],
    list: &str,
    is_ours: fn(&Node) -> bool,
) -> Result<(), Refused> {
    let beside = |text: &str| Ok::<_, Refused>(YamlText::parse(text)?.beside(keys, list, is_ours));
    if beside(before)? == beside(after).map_err(|_| no_place(list))? {
        Ok(())
    } else {
        Err(no_place(list))
    }
}

/// Whether the items of ours in a list are just these; each may hold more.
fn has_all(
    now: &YamlText<'_>,
    list: &str,
    items: &[Vec<String>],
    is_ours: fn(&Node) -> bool,
) -> Result<bool, Refused> {
    let wanted = by_hand(list, items);
    let wanted = YamlText::parse(&wanted)?;
    let there: Vec<&Node> = now.items(list).iter().filter(|item| is_ours(item)).collect();
    let covered = there.iter().zip(wanted.items(list)).all(|(there, wanted)| there.covers(wanted));
    Ok(there.len() == items.len() && covered)
}

fn no_place(list: &str) -> Refused {
    Refused::Shape(format!("what is written there leaves no place for `{list}`"))
}

#[cfg(test)]
pub(super) mod tests;
