//! A pane: its title on a line, its rows below, with the chosen one in sight.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

use super::super::look::Pane;
use super::super::model::Model;
use super::Theme;
use super::words::{cut, width};

/// One row, of one line or more.
pub(super) struct Row {
    pub(super) lines: Vec<Line<'static>>,
}

/// What a pane holds.
pub(super) struct Content {
    pub(super) title: String,
    /// The names of the columns.
    pub(super) header: Option<Line<'static>>,
    pub(super) rows: Vec<Row>,
    /// What is said where there is no row.
    pub(super) empty: String,
}

impl Content {
    /// Lines that show all of it, with the title.
    pub(super) fn height(&self) -> u16 {
        let rows: usize = self.rows.iter().map(|row| row.lines.len()).sum();
        let lines = 1 + usize::from(self.header.is_some()) + rows.max(1);
        u16::try_from(lines).unwrap_or(u16::MAX)
    }
}

/// Draws panes.
pub(super) struct Painter<'a, 'f> {
    pub(super) frame: &'a mut Frame<'f>,
    pub(super) model: &'a Model,
    pub(super) theme: Theme,
}

impl Painter<'_, '_> {
    /// Draws one.
    pub(super) fn pane(&mut self, pane: Pane, area: Rect, content: Content) {
        let Some(mut body) = below(area) else { return };
        let (theme, look) = (self.theme, &self.model.look);
        let focused = look.pane == pane;
        let Content { title, header, rows, empty } = content;
        let chosen = look.row(pane, rows.len());
        let count = match rows.len() {
            0 => String::new(),
            rows if focused => format!(" {} of {rows} ", chosen + 1),
            rows => format!(" {rows} "),
        };
        self.title(area, &title, &count, focused);
        if let Some(header) = header {
            let line = Line::from([vec![Span::raw("  ")], header.spans].concat());
            self.line(body, 0, line.style(theme.faint()));
            body = below(body).unwrap_or_default();
        }
        if rows.is_empty() {
            self.line(body, 0, Line::styled(format!("  {empty}"), theme.faint()));
        }
        let heights: Vec<usize> = rows.iter().map(|row| row.lines.len()).collect();
        let first = first_shown(&heights, chosen, usize::from(body.height));
        let mut y = 0;
        for (at, row) in rows.into_iter().enumerate().skip(first) {
            let marked = focused && at == chosen;
            for (number, line) in row.lines.into_iter().enumerate() {
                let mark = if marked && number == 0 { theme.mark() } else { "  " };
                let mut spans = vec![Span::styled(mark, theme.hint())];
                spans.extend(line.spans);
                let style = if marked { theme.strong() } else { Style::new() };
                self.line(body, y, Line::from(spans).style(style));
                y += 1;
            }
            if y >= body.height {
                break;
            }
        }
    }

    /// A title at the beginning of a line, and a number near its end.
    pub(super) fn title(&mut self, area: Rect, title: &str, count: &str, focused: bool) {
        let theme = self.theme;
        let style = if focused { theme.hint().patch(theme.strong()) } else { theme.strong() };
        let rule = if focused { theme.hint() } else { theme.faint() };
        let columns = usize::from(area.width);
        let title = cut(title, columns.saturating_sub(width(count) + 8));
        let rest = columns.saturating_sub(width(&title) + width(count) + 5);
        let line = vec![
            Span::styled(format!("{0}{0} ", theme.rule()), rule),
            Span::styled(title, style),
            Span::styled(format!(" {}", theme.rule().repeat(rest)), rule),
            Span::styled(count.to_owned(), rule),
            Span::styled(theme.rule(), rule),
        ];
        self.line(area, 0, Line::from(line));
    }

    /// One line of an area, if there is such a one.
    pub(super) fn line(&mut self, area: Rect, y: u16, line: Line<'static>) {
        if y < area.height {
            let place = Rect { y: area.y + y, height: 1, ..area };
            self.frame.render_widget(Paragraph::new(line), place);
        }
    }
}

fn below(area: Rect) -> Option<Rect> {
    (area.height > 0).then(|| Rect { y: area.y + 1, height: area.height - 1, ..area })
}

/// The first row to show so that the chosen one is seen whole: the first of all where that is enough.
fn first_shown(heights: &[usize], chosen: usize, room: usize) -> usize {
    let mut first = chosen.min(heights.len());
    let mut used = heights.get(chosen).copied().unwrap_or_default();
    while first > 0 && used + heights[first - 1] <= room {
        first -= 1;
        used += heights[first];
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_row_is_always_in_sight() {
        assert_eq!(first_shown(&[1, 1, 1], 0, 2), 0);
        assert_eq!(first_shown(&[1, 1, 1], 1, 2), 0);
        assert_eq!(first_shown(&[1, 1, 1], 2, 2), 1);
        assert_eq!(first_shown(&[2, 2, 3], 2, 4), 2);
        assert_eq!(first_shown(&[2, 2, 3], 2, 5), 1);
        assert_eq!(first_shown(&[5, 5], 1, 2), 1, "even where it does not fit");
        assert_eq!(first_shown(&[], 0, 0), 0);
    }
}
