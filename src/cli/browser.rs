//! The person's browser, which only the command line ever opens: the daemon may be confined or headless.

/// Whether no window could be opened here: a remote shell, or a Linux without a display.
pub(super) fn is_absent() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let display = std::env::consts::OS != "linux"
        || set("DISPLAY")
        || set("WAYLAND_DISPLAY")
        || set("WSL_DISTRO_NAME");
    set("SSH_CONNECTION") || !display
}

/// Opens an address. Says whether a window was opened. The address comes from the daemon; still, nothing
/// but a web page is ever opened.
pub(super) fn open(url: &str) -> bool {
    is_web(url) && webbrowser::open(url).is_ok()
}

fn is_web(url: &str) -> bool {
    url.starts_with("https://")
        || url.starts_with("http://127.0.0.1")
        || url.starts_with("http://localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_pages_are_opened() {
        assert!(is_web("https://auth.example.org/x") && is_web("http://127.0.0.1:1455/"));
        for other in ["file:///etc/passwd", "http://example.org/", "javascript:alert(1)", "-x", ""]
        {
            assert!(!is_web(other), "{other}");
        }
    }
}
