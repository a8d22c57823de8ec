//! The ways in which a file can be special, and what becomes of each.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

use super::{CODEX, exits, is_sentence_and_hint, read, with_codex};
use crate::support::{Home, Sandbox, eventually, stderr};

#[track_caller]
pub(super) fn has_mode(file: &Path, mode: u32) {
    let meta = std::fs::metadata(file).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, mode, "{}", file.display());
}

fn set_mode(file: &Path, mode: u32) {
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(mode)).unwrap();
}

const WRITE: [&str; 3] = ["setup", "codex", "--write"];
const UNDO: [&str; 3] = ["setup", "codex", "--undo"];

#[test]
fn a_link_stays_a_link_and_the_file_behind_it_keeps_its_mode() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let file = with_codex(&home, b"");
    let behind = home.path().join("home/dotfiles");
    std::fs::create_dir(&behind).unwrap();
    let real = behind.join("codex.toml");
    std::fs::write(&real, CODEX).unwrap();
    set_mode(&real, 0o640);
    std::fs::remove_file(&file).unwrap();
    symlink("../dotfiles/codex.toml", &file).unwrap();
    exits(&home, 0, &WRITE);
    assert!(file.is_symlink() && read(&real).contains("valetkey"));
    has_mode(&real, 0o640);
    exits(&home, 0, &UNDO);
    assert!(file.is_symlink());
    assert_eq!(read(&real), CODEX);
    has_mode(&real, 0o640);
    assert_eq!(std::fs::read_dir(&behind).unwrap().count(), 1, "nothing is left beside it");
}

#[test]
fn a_link_to_a_file_that_is_yet_to_be_made_is_followed_and_the_file_goes_again() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let file = with_codex(&home, b"");
    std::fs::remove_file(&file).unwrap();
    let real = home.path().join("home/elsewhere/codex.toml");
    symlink(&real, &file).unwrap();
    exits(&home, 0, &WRITE);
    assert!(file.is_symlink() && read(&real).contains("valetkey"));
    exits(&home, 0, &UNDO);
    assert!(file.is_symlink() && !real.parent().unwrap().exists());
}

#[test]
fn a_file_and_a_folder_that_were_made_go_again() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    exits(&home, 0, &WRITE);
    let folder = home.path().join("home/.codex");
    has_mode(&folder.join("config.toml"), 0o600);
    exits(&home, 0, &UNDO);
    assert!(!folder.exists());
    // But not with what the person has put there since.
    exits(&home, 0, &WRITE);
    std::fs::write(folder.join("AGENTS.md"), "mine").unwrap();
    exits(&home, 0, &UNDO);
    assert!(folder.join("AGENTS.md").exists() && !folder.join("config.toml").exists());
}

#[test]
fn line_ends_and_a_byte_order_mark_come_back_as_they_were() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let text = format!("\u{feff}{}", CODEX.replace('\n', "\r\n"));
    let file = with_codex(&home, text.as_bytes());
    exits(&home, 0, &WRITE);
    let plugged = read(&file);
    assert!(plugged.starts_with('\u{feff}') && plugged.contains("[model_providers.valetkey]\r\n"));
    assert_eq!(plugged.matches('\n').count(), plugged.matches("\r\n").count());
    exits(&home, 0, &UNDO);
    assert_eq!(read(&file), text);
}

#[test]
fn a_file_that_cannot_be_understood_is_never_touched() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let config = read(&home.config());
    for (bytes, said) in [
        (&b"model = \"x\"\n[tui\n"[..], "config.toml:2: not TOML"),
        (b"model = \"\xff\"\n", "not UTF-8"),
        (b"[model_provider]\n", "is a table"),
        (b"model_providers = {}\n", "left alone"),
    ] {
        let file = with_codex(&home, bytes);
        let output = exits(&home, 1, &WRITE);
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
        assert_eq!(std::fs::read(&file).unwrap(), bytes);
    }
    assert_eq!(read(&home.config()), config, "and no door is opened for it");
    assert!(!home.state().join("setup").exists());
    // Nor one that was broken after it was plugged in.
    let file = with_codex(&home, CODEX.as_bytes());
    exits(&home, 0, &WRITE);
    let broken = read(&file).replace("[tui]", "[tui");
    std::fs::write(&file, &broken).unwrap();
    is_sentence_and_hint(&exits(&home, 1, &UNDO));
    assert_eq!(read(&file), broken);
    std::fs::write(&file, broken.replace("[tui", "[tui]")).unwrap();
    exits(&home, 0, &UNDO);
    assert_eq!(read(&file), CODEX);
}

#[test]
fn our_own_configuration_is_as_safe_as_anybodys() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let file = with_codex(&home, CODEX.as_bytes());
    home.write_config("[http\n");
    let output = exits(&home, 2, &WRITE);
    assert!(stderr(&output).contains("config.toml:1:"), "{}", stderr(&output));
    assert_eq!((read(&file).as_str(), read(&home.config()).as_str()), (CODEX, "[http\n"));
}

#[test]
fn a_file_that_is_not_ours_alone_to_replace_is_left_alone() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let config = read(&home.config());
    let file = with_codex(&home, CODEX.as_bytes());
    set_mode(&file, 0o444);
    let output = exits(&home, 1, &WRITE);
    is_sentence_and_hint(&output);
    assert!(stderr(&output).contains("read-only"), "{}", stderr(&output));
    set_mode(&file, 0o600);
    let second = home.path().join("home/second");
    std::fs::hard_link(&file, &second).unwrap();
    is_sentence_and_hint(&exits(&home, 1, &WRITE));
    std::fs::remove_file(&second).unwrap();
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    assert!(stderr(&exits(&home, 1, &WRITE)).contains("not a file"));
    std::fs::remove_dir(&file).unwrap();
    // A pipe in its place is not waited for.
    assert!(Command::new("mkfifo").arg(&file).status().unwrap().success());
    let output = exits(&home, 1, &WRITE);
    is_sentence_and_hint(&output);
    assert!(stderr(&output).contains("not a file") && stderr(&output).contains("--file"));
    exits(&home, 0, &["setup", "--list"]);
    std::fs::remove_file(&file).unwrap();
    symlink("config.toml", &file).unwrap();
    assert!(stderr(&exits(&home, 1, &WRITE)).contains("circle"));
    assert_eq!(read(&home.config()), config);
}

#[test]
fn another_file_can_be_named_but_one_at_a_time() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let usual = with_codex(&home, CODEX.as_bytes());
    let other = home.path().join("home/other.toml");
    exits(&home, 0, &["setup", "codex", "--write", "--file", "home/other.toml"]);
    assert!(read(&other).contains("valetkey"));
    is_sentence_and_hint(&exits(&home, 1, &WRITE));
    exits(&home, 0, &UNDO);
    assert!(!other.exists());
    assert_eq!(read(&usual), CODEX);
}

/// Killed wherever it happens to be: the file is the old one or the new one, and can be had back.
#[test]
fn whoever_is_interrupted_finds_the_old_file_or_the_new_one() {
    let sandbox = Sandbox::start();
    // A port that stays the same: no daemon runs.
    let home = Home::new(&sandbox).and_config("[http]\nlisten = \"127.0.0.1:8459\"");
    let file = with_codex(&home, CODEX.as_bytes());
    exits(&home, 0, &WRITE);
    let plugged = read(&file);
    exits(&home, 0, &UNDO);
    let state = home.state().join("setup");
    for landmark in ["", "codex.backup", "codex.json"] {
        let mut command = home.command(&WRITE);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually(landmark, || {
            let ended = child.try_wait().unwrap().is_some();
            (ended || state.join(landmark).exists()).then_some(())
        });
        let _ = child.kill();
        child.wait().unwrap();
        let now = read(&file);
        assert!(now == CODEX || now == plugged, "{landmark}: {now}");
        exits(&home, 0, &WRITE);
        assert_eq!(read(&file), plugged, "{landmark}");
        exits(&home, 0, &UNDO);
        assert_eq!(read(&file), CODEX, "{landmark}");
    }
}

/// As it is found after a power cut between the record and the file.
#[test]
fn a_record_of_what_was_never_written_is_no_hindrance() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let (file, config) = (with_codex(&home, CODEX.as_bytes()), read(&home.config()));
    for next in [&WRITE, &UNDO] {
        exits(&home, 0, &WRITE);
        std::fs::write(&file, CODEX).unwrap();
        home.write_config(&config);
        exits(&home, 0, next);
        assert_eq!(read(&file).contains("valetkey"), next == &WRITE);
        exits(&home, 0, &UNDO);
        assert_eq!((read(&file).as_str(), read(&home.config())), (CODEX, config.clone()));
        assert!(!home.state().join("setup").exists());
    }
}
