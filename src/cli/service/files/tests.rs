use super::*;

fn places(binary: &str) -> Places {
    Places::usual_on_linux(Path::new("/home/ada"), binary.into())
}

#[cfg(unix)]
fn service_drop_in(places: &Places) -> String {
    service_places(places).expect("plain paths").expect("something differs")
}

#[test]
fn in_the_usual_places_the_shipped_units_are_all_there_is() {
    let drafts =
        units(&places("/home/ada/.local/bin/valetkey"), Choice::default(), Path::new("/u"));
    let drafts = drafts.expect("plain paths");
    let written: Vec<_> = drafts.iter().filter(|draft| draft.text.is_some()).collect();
    assert_eq!(written.len(), 2, "{written:?}");
    assert_eq!(written[0].text.as_deref(), Some(SOCKET_UNIT));
    assert_eq!(written[1].text.as_deref(), Some(UNIT));
    assert!(UNIT.contains("ExecStart=%h/.local/bin/valetkey serve\n"), "the usual program");
}

// These paths are Unix's, and another system would join them with its own sign.
#[cfg(unix)]
#[test]
fn a_program_that_the_sandbox_hides_is_bound_back_and_another_needs_it_not() {
    let own = "\"/home/ada/.local/share/valetkey\" \"/home/ada/.local/state/valetkey\"";
    let config = "\"-/home/ada/.config/valetkey\"";
    for (binary, back) in [
        ("/home/ada/.cargo/bin/valetkey", format!("\"/home/ada/.cargo/bin/valetkey\" {config}")),
        ("/usr/bin/valetkey", config.to_owned()),
    ] {
        assert_eq!(
            service_drop_in(&places(binary)),
            format!(
                "{WHY}[Service]\nExecStart=\nExecStart=\"{binary}\" serve\nBindPaths=\n\
                 BindReadOnlyPaths={back}\nBindPaths={own} %t/systemd/notify\n"
            )
        );
    }
}

#[cfg(unix)]
#[test]
fn a_folder_that_is_not_ours_is_not_shown_to_the_daemon_with_its_configuration() {
    let mut places = places("/usr/bin/valetkey");
    places.config_file = "/home/ada/notes/vk.toml".into();
    let text = service_drop_in(&places);
    assert!(text.contains("BindReadOnlyPaths=\"-/home/ada/notes/vk.toml\"\n"), "{text}");
    places.config_file = "/etc/valetkey/config.toml".into();
    let text = service_drop_in(&places);
    assert!(!text.contains("BindReadOnlyPaths"), "nothing hides it: {text}");
}

#[cfg(unix)]
#[test]
fn a_path_that_means_more_than_itself_is_refused() {
    let dir = Path::new("/u");
    for odd in ["/d/100%", "/d/a\"b", "/d/$HOME", "/d/a:b", "/d/a\\b", "/d/a\nb", "/d/it's"] {
        let mut data = places("/usr/bin/valetkey");
        data.data_dir = odd.into();
        assert_eq!(units(&data, Choice::default(), dir), Err(Awkward(odd.into())));
        let mut door = places("/usr/bin/valetkey");
        door.socket = Some(odd.to_owned());
        assert_eq!(units(&door, Choice::default(), dir), Err(Awkward(odd.into())));
    }
    let mut agent_places = Places::usual_on_macos(Path::new("/Users/ada"), "/b/valetkey".into());
    agent_places.data_dir = "/d/a\u{1}b".into();
    assert_eq!(agent(&agent_places), Err(Awkward("/d/a\u{1}b".into())));
}

#[cfg(unix)]
#[test]
fn the_agent_is_told_of_other_places_and_a_path_is_never_taken_for_a_place_to_fill() {
    let home = Path::new("/Users/@BIN@ & @HOME@");
    let mut places = Places::usual_on_macos(home, home.join("valetkey"));
    let text = |places: &Places| {
        let drafts = agent(places).expect("plain paths");
        drafts.into_iter().next().and_then(|draft| draft.text).expect("an agent")
    };
    let usual = text(&places);
    assert!(usual.contains("<string>/Users/@BIN@ &amp; @HOME@/valetkey</string>"), "{usual}");
    assert!(!usual.contains("VALETKEY_CONFIG") && !usual.contains("places -->"), "{usual}");
    places.data_dir = "/d<>".into();
    let told = text(&places);
    let pair = "<key>VALETKEY_DATA_DIR</key>\n\t\t<string>/d&lt;&gt;</string>\n";
    assert!(told.contains(pair), "{told}");
    assert!(told.contains("@HOME@/Library/Logs/valetkey/stderr.log</string>"), "{told}");
}

/// What stands between the tags of this name, which there is once.
fn element<'a>(xml: &'a str, name: &str) -> &'a str {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    assert_eq!(xml.matches(&open).count(), 1, "{name}: {xml}");
    xml.split_once(&open).unwrap().1.split_once(&close).unwrap().0
}

fn task_of(places: &Places) -> String {
    let draft = task(places, "S-1-5-21-1-2-3-1001").expect("plain paths").remove(0);
    assert_eq!(draft.path, places.home.join("AppData/Local/valetkey/service/task.xml"));
    draft.text.expect("a task")
}

#[test]
fn the_task_runs_for_its_person_alone_without_a_window_and_without_an_end() {
    let home = Path::new("/Users/ada");
    let xml = task_of(&Places::usual_on_windows(home, r"C:\Tools\valetkey.exe".into()));
    for trigger in ["LogonTrigger", "Principal id=\"Author\""] {
        let inside = xml.split_once(&format!("<{trigger}>")).unwrap().1;
        let user = inside.split_once("<UserId>").unwrap().1;
        assert!(user.starts_with("S-1-5-21-1-2-3-1001</UserId>"), "{trigger}: {xml}");
    }
    for (name, value) in [
        ("LogonType", "InteractiveToken"),
        ("RunLevel", "LeastPrivilege"),
        ("MultipleInstancesPolicy", "IgnoreNew"),
        ("DisallowStartIfOnBatteries", "false"),
        ("StopIfGoingOnBatteries", "false"),
        ("StartWhenAvailable", "true"),
        ("AllowStartOnDemand", "true"),
        ("Hidden", "true"),
        ("ExecutionTimeLimit", "PT0S"),
        ("Priority", "5"),
        ("Interval", "PT1M"),
        ("Count", "3"),
        ("Command", r"%SystemRoot%\System32\conhost.exe"),
        ("Arguments", r#"--headless "C:\Tools\valetkey.exe" serve --detach"#),
    ] {
        assert_eq!(element(&xml, name), value);
    }
    assert!(xml.is_ascii() && xml.starts_with("<?xml version=\"1.0\"?>"), "{xml}");
    assert!(!xml.contains('@') && !xml.contains("<Enabled>false"), "{xml}");
}

#[test]
fn the_task_is_told_of_other_places_by_flags_and_whoever_is_called_what() {
    let home = Path::new("/Users/@USER@ @ARGUMENTS@");
    let mut places = Places::usual_on_windows(home, "/Zoë & co/valetkey.exe".into());
    places.socket = Some(r"\\.\pipe\mine".to_owned());
    places.data_dir = "/my data".into();
    let xml = task_of(&places);
    assert!(xml.contains("/Zo&#235; &amp; co/valetkey.exe"), "{xml}");
    let state = places.state_dir.to_str().unwrap();
    let config = places.config_file.to_str().unwrap();
    let words = [
        "--headless",
        "/Zoë & co/valetkey.exe",
        "--config",
        config,
        "--socket",
        r"\\.\pipe\mine",
        "serve",
        "--detach",
        "--data-dir",
        "/my data",
        "--state-dir",
        state,
    ];
    assert_eq!(tasks::arguments(&xml).unwrap_or_default(), words);
    for odd in ["/100%", "/a\"b", "/$(Arg0)", "/a\\", "/a\nb"] {
        places.data_dir = odd.into();
        assert_eq!(task(&places, "S-1-5-18"), Err(Awkward(odd.into())));
    }
}
