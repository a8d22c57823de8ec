//! Where in a request something stands, spelt out only when something is wrong with it.

use std::fmt;

/// A place, as a chain of steps down from the top.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path<'p> {
    above: Option<&'p Path<'p>>,
    step: Step<'p>,
}

#[derive(Clone, Copy, Debug)]
enum Step<'p> {
    Member(&'p str),
    Element(usize),
}

impl<'p> Path<'p> {
    /// A member of the request itself.
    pub(super) fn of(name: &'p str) -> Self {
        Self { above: None, step: Step::Member(name) }
    }

    /// A member of what stands here.
    pub(super) fn member(&'p self, name: &'p str) -> Self {
        Self { above: Some(self), step: Step::Member(name) }
    }

    /// An element of the list that stands here.
    pub(super) fn at(&'p self, index: usize) -> Self {
        Self { above: Some(self), step: Step::Element(index) }
    }
}

/// As OpenAI's errors name it: `messages[2].content[0].type`.
impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(above) = self.above {
            above.fmt(f)?;
        }
        match (self.step, self.above) {
            (Step::Member(name), Some(_)) => write!(f, ".{name}"),
            (Step::Member(name), None) => f.write_str(name),
            (Step::Element(index), _) => write!(f, "[{index}]"),
        }
    }
}
