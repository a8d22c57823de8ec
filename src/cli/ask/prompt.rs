//! What is asked: the words of the command line, and what is piped in.

use std::io::Read;

use super::super::failure::{Exit, Failure};

/// The most that is read from standard input: more than any model's context, and far below what the
/// daemon takes as one message.
const STDIN_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The prompt. Words come first, then an empty line, then what is piped in; `-` is the latter alone.
pub(super) fn of(words: &[String], terminal: bool, input: impl Read) -> Result<String, Failure> {
    let (typed, stdin_alone) = match words {
        [dash] if dash == "-" => (String::new(), true),
        words => (words.join(" "), false),
    };
    // On a terminal nobody is waited for who was not asked for.
    let piped = if stdin_alone || !terminal { read(input)? } else { String::new() };
    match (typed.trim().is_empty(), piped.trim().is_empty()) {
        (false, true) => Ok(typed),
        (true, false) => Ok(piped),
        (false, false) => Ok(format!("{typed}\n\n{piped}")),
        (true, true) => Err(Failure::new(Exit::Usage, "there is nothing to ask")
            .hint("as in: valetkey ask 'Why is the sky blue?'")),
    }
}

fn read(input: impl Read) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let unreadable = |why: &dyn std::fmt::Display| {
        Failure::new(Exit::Usage, format!("standard input cannot be asked: {why}"))
            .hint("it has to be text; a file goes in as in: valetkey ask 'Review this.' < main.rs")
    };
    match input.take(STDIN_BYTES_MAX + 1).read_to_end(&mut bytes) {
        Err(error) => return Err(unreadable(&error)),
        Ok(_) if bytes.len() as u64 > STDIN_BYTES_MAX => {
            return Err(unreadable(&"it is longer than 16 MiB")
                .hint("no model reads that much at once; send a part of it"));
        }
        Ok(_) => {}
    }
    String::from_utf8(bytes).map_err(|_| {
        unreadable(&"it is not text in UTF-8")
            .hint("files of other kinds cannot be asked about here")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    struct Input(&'static [u8], bool);

    impl Read for Input {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            assert!(!self.1, "a terminal is not waited for");
            self.0.read(buf)
        }
    }

    fn prompt(words: &[&str], input: Input) -> Result<String, u8> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        of(&words, input.1, input).map_err(|failure| failure.code())
    }

    #[test]
    fn words_then_an_empty_line_then_what_is_piped_in() {
        assert_eq!(prompt(&["Why", "so?"], Input(b"", true)).as_deref(), Ok("Why so?"));
        assert_eq!(prompt(&["Why"], Input(b"", false)).as_deref(), Ok("Why"));
        assert_eq!(prompt(&["Why"], Input(b"\n", false)).as_deref(), Ok("Why"));
        assert_eq!(prompt(&["Sum up"], Input(b"a\nb\n", false)).as_deref(), Ok("Sum up\n\na\nb\n"));
        assert_eq!(prompt(&[], Input(b"text\n", false)).as_deref(), Ok("text\n"));
        assert_eq!(prompt(&["-"], Input(b"text\n", false)).as_deref(), Ok("text\n"));
    }

    #[test]
    fn nothing_asked_is_a_usage_error() {
        assert_eq!(prompt(&[], Input(b"", true)), Err(2));
        assert_eq!(prompt(&[" "], Input(b" \n", false)), Err(2));
        assert_eq!(prompt(&["-"], Input(b"", false)), Err(2));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused() {
        assert_eq!(prompt(&["x"], Input(&[0xff, 0xfe], false)), Err(2));
    }

    #[test]
    fn endless_input_is_given_up() {
        struct Endless;
        impl Read for Endless {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                buf.fill(b'x');
                Ok(buf.len())
            }
        }
        let failure = read(Endless).expect_err("it is too long");
        assert_eq!(failure.code(), 2);
    }
}
