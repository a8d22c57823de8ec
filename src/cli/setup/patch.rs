//! A person's own file, changed so that nothing of it can be lost.
//!
//! First the whole new text is made and proved; then the old one is kept; then the file is replaced in one
//! step. Whoever is interrupted finds the old file or the new one. A link stays a link, and the file
//! behind it keeps its mode. A file that is not ours alone to replace is left alone.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::platform::files;

use super::super::failure::{Exit, Failure};
use super::agent::{Edit, Refused, Replaced, Wants};
use super::hunks;
use super::shelf::{DOOR, FILE_BYTES_MAX, Record, Shelf, digest};

/// What editors of some systems put first; no part of the text.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// Links in a row at most, as the system's own bound.
const LINKS_MAX: usize = 40;

/// A file as it stands now.
#[derive(Debug)]
pub(super) struct Target {
    /// As the agent calls it.
    pub(super) path: PathBuf,
    /// Where that leads.
    real: PathBuf,
    bytes: Option<Vec<u8>>,
}

impl Target {
    /// # Errors
    /// Where it cannot be read, or is no text of a sensible size.
    pub(super) fn look(path: &Path) -> Result<Self, Failure> {
        let cannot = |why: String| {
            Failure::new(Exit::Failed, format!("{} cannot be read: {why}", path.display()))
                .hint("put what is meant into a plain text file there, or name another with --file")
        };
        let real = behind_links(path).map_err(|error| cannot(error.to_string()))?;
        let bytes = read(&real).map_err(|error| cannot(error.to_string()))?;
        if let Some(error) = bytes.as_ref().and_then(|bytes| std::str::from_utf8(bytes).err()) {
            return Err(cannot(format!("it is not UTF-8 (at byte {})", error.valid_up_to())));
        }
        Ok(Self { path: path.to_owned(), real, bytes })
    }

    pub(super) fn exists(&self) -> bool {
        self.bytes.is_some()
    }

    /// The text, without a byte order mark; empty where there is no file.
    pub(super) fn text(&self) -> &str {
        text_of(self.bytes.as_deref())
    }

    /// The sentence for an edit that could not be made.
    pub(super) fn refused(&self, why: &Refused, agent: &str) -> Failure {
        let file = self.path.display();
        match why {
            Refused::Broken { line, message } => {
                Failure::new(Exit::Failed, format!("{file}:{line}: {message}; nothing was changed"))
                    .hint("mend that line first: a file that cannot be read is never written")
            }
            Refused::Shape(why) => Failure::new(
                Exit::Failed,
                format!("{file} was left alone: {why}"),
            )
            .hint(match agent {
                DOOR => "set listen = \"127.0.0.1:8459\" under [http] there by hand".to_owned(),
                agent => format!("`valetkey setup {agent}` prints what to put there by hand"),
            }),
        }
    }

    /// Whether it may be replaced, asked before the person is.
    fn check(&self) -> Result<(), Failure> {
        let left_alone = |why: &str| {
            let file = self.real.display();
            Failure::new(Exit::Failed, format!("{file} was left alone: {why}"))
                .hint("change it by hand, or the way that whoever made it so would; without --write this verb prints what to put there")
        };
        if !self.exists() {
            return Ok(());
        }
        files::replaceable(&self.real).map_err(|error| left_alone(&error.to_string()))?;
        let meta = std::fs::metadata(&self.real).map_err(|error| left_alone(&error.to_string()))?;
        if meta.permissions().readonly() {
            return Err(left_alone("it is read-only"));
        }
        Ok(())
    }

    /// Replaces it. Whoever wrote there since it was looked at is not overwritten.
    fn write(&self, bytes: &[u8], private: bool) -> Result<(), Failure> {
        self.is_as_seen()?;
        files::rewrite(&self.real, bytes, private).map_err(|error| self.not_written(&error))
    }

    fn remove(&self) -> Result<(), Failure> {
        self.is_as_seen()?;
        files::remove(&self.real).map_err(|error| self.not_written(&error))
    }

    fn is_as_seen(&self) -> Result<(), Failure> {
        let now = read(&self.real).map_err(|error| self.not_written(&error))?;
        if now == self.bytes {
            return Ok(());
        }
        let file = self.path.display();
        Err(Failure::new(
            Exit::Failed,
            format!("{file} was changed meanwhile; nothing was written"),
        )
        .hint("run it again"))
    }

    fn not_written(&self, error: &io::Error) -> Failure {
        let file = self.real.display();
        Failure::new(Exit::Failed, format!("{file} could not be written and is as it was: {error}"))
    }
}

/// A change that is ready to be shown and made.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) target: Target,
    /// What shall stand there; nothing where the file shall go.
    after: Option<Vec<u8>>,
    /// Whether the file is not as we left it: what the person did since stays.
    pub(super) edited: bool,
    then: Then,
}

/// What becomes of the record.
#[derive(Debug)]
enum Then {
    Keep { record: Box<Record>, base: Option<Vec<u8>> },
    Forget { folders: Vec<PathBuf> },
}

impl Change {
    /// The change that puts us into a file; nothing where we are in it already.
    pub(super) fn to_plug(
        shelf: &Shelf,
        name: &str,
        target: Target,
        edit: &dyn Edit,
        wants: &Wants,
    ) -> Result<Option<Self>, Failure> {
        let refused = |target: &Target, why: Refused| target.refused(&why, name);
        let as_it_is = edit.plug(target.text(), wants).map_err(|why| refused(&target, why))?;
        if target.exists() && as_it_is.text == target.text() {
            return Ok(None);
        }
        target.check()?;
        let before = shelf.record(name)?.filter(|record| record.file == target.path);
        // Put in anew rather than over what we wrote before, so that it all comes out again.
        let base = match &before {
            Some(record) if target.exists() => without_us(shelf, name, record, &target, edit)?,
            _ => target.bytes.clone(),
        };
        let plugged =
            edit.plug(text_of(base.as_deref()), wants).map_err(|why| refused(&target, why))?;
        let mark = if has_mark(base.as_deref()) { BYTE_ORDER_MARK } else { "" };
        let after = format!("{mark}{}", plugged.text).into_bytes();
        let mut record = Record::new(&target.path, base.as_deref(), &after);
        record.hunks = hunks::between(text_of(base.as_deref()), &plugged.text);
        record.replaced = plugged.replaced;
        record.folders = before.as_ref().map_or_else(Vec::new, |before| before.folders.clone());
        let then = Then::Keep { record: Box::new(record), base };
        Ok(Some(Self { target, after: Some(after), edited: false, then }))
    }

    /// The change that takes us out again; nothing where we are not there. `path` is used where nothing
    /// is remembered.
    pub(super) fn to_unplug(
        shelf: &Shelf,
        name: &str,
        path: &Path,
        edit: &dyn Edit,
    ) -> Result<Option<Self>, Failure> {
        let record = shelf.record(name)?;
        let target = Target::look(record.as_ref().map_or(path, |record| &record.file))?;
        let Some(record) = record else {
            let left = edit
                .unplug(target.text(), &Replaced::new())
                .map_err(|why| target.refused(&why, name))?;
            if !target.exists() || left == target.text() {
                return Ok(None);
            }
            target.check()?;
            let after = with_mark_of(&target, &left);
            let then = Then::Forget { folders: Vec::new() };
            return Ok(Some(Self { target, after: Some(after), edited: true, then }));
        };
        let after = match &target.bytes {
            // Removed by the person, or never written: only the record is left.
            None => None,
            Some(_) => without_us(shelf, name, &record, &target, edit)?,
        };
        if after != target.bytes {
            target.check()?;
        }
        let now = target.bytes.as_deref().map(digest);
        let edited = now.is_some() && now.as_ref() != Some(&record.after) && now != record.before;
        let then = Then::Forget { folders: record.folders };
        Ok(Some(Self { target, after, edited, then }))
    }

    /// Whether the file itself changes.
    pub(super) fn touches_the_file(&self) -> bool {
        self.after != self.target.bytes
    }

    /// The text before and after, for showing.
    pub(super) fn texts(&self) -> (&str, &str) {
        (self.target.text(), text_of(self.after.as_deref()))
    }

    pub(super) fn creates(&self) -> bool {
        !self.target.exists() && self.after.is_some()
    }

    pub(super) fn removes(&self) -> bool {
        self.target.exists() && self.after.is_none()
    }

    /// Makes the change. `private`: the file holds a secret of ours from now on.
    pub(super) fn make(self, shelf: &Shelf, name: &str, private: bool) -> Result<(), Failure> {
        match self.then {
            Then::Keep { mut record, base } => {
                let missing = missing_folders(&self.target.real);
                record.folders.extend(missing.iter().cloned());
                shelf.keep(name, &record, base.as_deref())?;
                let made = make_folders(&missing)
                    .map_err(|error| self.target.not_written(&error))
                    .and_then(|()| {
                        self.target.write(self.after.as_deref().unwrap_or_default(), private)
                    });
                if made.is_err() && !self.target.exists() {
                    remove_folders(&missing);
                    shelf.forget(name)?;
                }
                made
            }
            Then::Forget { folders } => {
                match &self.after {
                    after if *after == self.target.bytes => {}
                    Some(bytes) => self.target.write(bytes, private)?,
                    None => self.target.remove()?,
                }
                if self.after.is_none() {
                    remove_folders(&folders);
                }
                shelf.forget(name)
            }
        }
    }
}

/// What the file holds when we are taken out of it; nothing where it is to go.
fn without_us(
    shelf: &Shelf,
    name: &str,
    record: &Record,
    target: &Target,
    edit: &dyn Edit,
) -> Result<Option<Vec<u8>>, Failure> {
    let now = digest(target.bytes.as_deref().unwrap_or_default());
    if record.before.as_ref() == Some(&now) {
        // Remembered, and then not written.
        return Ok(target.bytes.clone());
    }
    if record.after == now {
        match &record.before {
            None => return Ok(None),
            Some(_) => {
                if let Some(bytes) = shelf.backup(name, record)? {
                    return Ok(Some(bytes));
                }
            }
        }
    }
    let text = target.text();
    let taken_back = hunks::back(text, &record.hunks).filter(|left| edit.is_plugged(left).is_ok());
    let left = match taken_back {
        Some(left) => left,
        None => edit.unplug(text, &record.replaced).map_err(|why| target.refused(&why, name))?,
    };
    let ours_alone = record.before.is_none() && left.trim().is_empty();
    Ok((!ours_alone).then(|| with_mark_of(target, &left)))
}

fn with_mark_of(target: &Target, text: &str) -> Vec<u8> {
    let mark = if has_mark(target.bytes.as_deref()) { BYTE_ORDER_MARK } else { "" };
    format!("{mark}{text}").into_bytes()
}

fn has_mark(bytes: Option<&[u8]>) -> bool {
    bytes.is_some_and(|bytes| bytes.starts_with(BYTE_ORDER_MARK.as_bytes()))
}

fn text_of(bytes: Option<&[u8]>) -> &str {
    // Looked at when it was read.
    let text = std::str::from_utf8(bytes.unwrap_or_default()).unwrap_or_default();
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    // Before it is opened: a pipe would be waited for.
    let meta = match std::fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    if !meta.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other("it is larger than 4 MiB"));
    }
    Ok(Some(bytes))
}

/// Where a path leads; the last link may point to a file that is yet to be made.
fn behind_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..LINKS_MAX {
        let next = match std::fs::read_link(&path) {
            Ok(next) => next,
            // No link, or nothing at all.
            Err(_) => return Ok(path),
        };
        path = path.parent().map_or_else(|| next.clone(), |folder| folder.join(&next));
    }
    Err(io::Error::other("it is a link that leads in a circle"))
}

/// The folders above a file that are not there, the outermost first.
fn missing_folders(file: &Path) -> Vec<PathBuf> {
    let above = file.ancestors().skip(1).take_while(|folder| !folder.exists());
    let mut missing: Vec<PathBuf> = above.map(Path::to_owned).collect();
    missing.reverse();
    missing
}

fn make_folders(missing: &[PathBuf]) -> io::Result<()> {
    missing.last().map_or(Ok(()), |folder| files::create_dir(folder))
}

/// Removes folders that were made for a file, as far as nothing else has come to stand there.
fn remove_folders(made: &[PathBuf]) {
    for folder in made.iter().rev() {
        let _ = std::fs::remove_dir(folder);
    }
}
