//! Where the platform keeps caches and state of programs, found from the environment alone.

use std::path::PathBuf;

use crate::environment::Environment;

/// The variable that names the directory of everything that hotcrate keeps.
pub const HOME: &str = "HOTCRATE_HOME";

/// The directory of everything that hotcrate keeps, the store included unless the user names another one for it:
/// `$HOTCRATE_HOME`, which has to be absolute; else `$XDG_CACHE_HOME/hotcrate` or `~/.cache/hotcrate` on Linux,
/// `~/Library/Caches/hotcrate` on macOS, `%LOCALAPPDATA%\hotcrate\cache` on Windows.
pub fn cache(environment: &Environment) -> Option<PathBuf> {
    if let Some(home) = environment.path(HOME).filter(|home| home.is_absolute()) {
        Some(home)
    } else if cfg!(windows) {
        Some(
            environment
                .path("LOCALAPPDATA")?
                .join("hotcrate")
                .join("cache"),
        )
    } else if cfg!(target_os = "macos") {
        Some(home(environment)?.join("Library/Caches/hotcrate"))
    } else {
        Some(xdg(environment, "XDG_CACHE_HOME", ".cache")?.join("hotcrate"))
    }
}

/// The directory of the state between a restore and a save: `$XDG_STATE_HOME/hotcrate` or `~/.local/state/hotcrate`
/// on Linux, `~/Library/Application Support/hotcrate` on macOS, `%LOCALAPPDATA%\hotcrate\state` on Windows.
pub fn state(environment: &Environment) -> Option<PathBuf> {
    if cfg!(windows) {
        Some(
            environment
                .path("LOCALAPPDATA")?
                .join("hotcrate")
                .join("state"),
        )
    } else if cfg!(target_os = "macos") {
        Some(home(environment)?.join("Library/Application Support/hotcrate"))
    } else {
        Some(xdg(environment, "XDG_STATE_HOME", ".local/state")?.join("hotcrate"))
    }
}

fn home(environment: &Environment) -> Option<PathBuf> {
    environment.path("HOME").filter(|home| home.is_absolute())
}

/// An XDG base directory; by that specification a relative one does not count.
fn xdg(environment: &Environment, name: &str, below_home: &str) -> Option<PathBuf> {
    environment
        .path(name)
        .filter(|directory| directory.is_absolute())
        .or_else(|| Some(home(environment)?.join(below_home)))
}
