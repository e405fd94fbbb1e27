//! Where things lie: the physical path, CARGO_HOME, and names relative to the project.

use std::{
    io,
    path::{Component, Path, PathBuf},
};

use crate::{archive::path::is_windows_name, environment::Environment};

/// `path` without links, as Cargo sees the directory it is started in. What does not exist yet stands behind the
/// physical path of what does.
pub fn physical(path: &Path) -> io::Result<PathBuf> {
    let mut existing = path;
    loop {
        match existing.canonicalize() {
            Ok(found) => {
                let missing = path.strip_prefix(existing).unwrap_or(Path::new(""));
                let found = without_verbatim_prefix(found);
                return Ok(if missing.as_os_str().is_empty() {
                    found
                } else {
                    found.join(missing)
                });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                existing = existing.parent().ok_or(error)?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Windows canonicalizes to `\\?\C:\…` and `\\?\UNC\server\…`, which Cargo and compilers neither print nor always take.
pub fn without_verbatim_prefix(path: PathBuf) -> PathBuf {
    if !cfg!(windows) {
        return path;
    }
    match path.to_str().and_then(plain_windows_path) {
        Some(plain) => PathBuf::from(plain),
        None => path,
    }
}

/// The same path without the prefix of verbatim ones, if it has it and can do without: a name that Windows gives to a
/// device, or would shorten, means something else without.
fn plain_windows_path(path: &str) -> Option<String> {
    let rest = path.strip_prefix(r"\\?\")?;
    let mut names = rest.split('\\').skip(1);
    if !names.all(|name| name.is_empty() || is_windows_name(name)) {
        return None;
    }
    if let Some(share) = rest.strip_prefix(r"UNC\") {
        return Some(format!(r"\\{share}"));
    }
    // Volumes by their number and devices have no other name.
    matches!(rest.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
        .then(|| rest.to_owned())
}

/// CARGO_HOME as Cargo has it, absolute: a relative one is relative to `cwd`, links are kept. `None` if neither
/// CARGO_HOME nor a home directory is known.
pub fn cargo_home(environment: &Environment, cwd: &Path) -> Option<PathBuf> {
    home::env::cargo_home_with_cwd_env(&HomeEnvironment(environment), cwd).ok()
}

/// The environment in the form that the `home` crate, which is Cargo's, asks for.
struct HomeEnvironment<'a>(&'a Environment);

impl home::env::Env for HomeEnvironment<'_> {
    fn home_dir(&self) -> Option<PathBuf> {
        let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        self.0.path(name).or_else(home::home_dir)
    }

    fn current_dir(&self) -> io::Result<PathBuf> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn var_os(&self, key: &str) -> Option<std::ffi::OsString> {
        self.0.os(key).map(ToOwned::to_owned)
    }
}

/// The way from `base` to `path`, both physical, with `/` between its parts: `crates/a`, `../shared`, `.`.
///
/// Where there is none (another drive), `path` itself.
pub fn relative_text(base: &Path, path: &Path) -> String {
    let common = base
        .components()
        .zip(path.components())
        .take_while(|(one, other)| one == other)
        .count();
    if common == 0 {
        return path.display().to_string();
    }
    let up = base.components().skip(common).map(|_| "..".to_owned());
    let down = path.components().skip(common).map(|part| match part {
        Component::Normal(name) => name.to_string_lossy().into_owned(),
        other => other.as_os_str().to_string_lossy().into_owned(),
    });
    let parts: Vec<_> = up.chain(down).collect();
    if parts.is_empty() {
        ".".to_owned()
    } else {
        parts.join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("/a/b", "/a/b", ".")]
    #[case("/a/b", "/a/b/c/d", "c/d")]
    #[case("/a/b", "/a/c", "../c")]
    #[case("/a/b", "/", "../..")]
    fn ways_go_up_and_down(#[case] base: &str, #[case] path: &str, #[case] way: &str) {
        assert_eq!(relative_text(Path::new(base), Path::new(path)), way);
    }

    #[rstest::rstest]
    #[case(r"\\?\C:\work\p", Some(r"C:\work\p"))]
    #[case(r"\\?\UNC\server\share\p", Some(r"\\server\share\p"))]
    #[case(r"\\?\Volume{b75e2c83-0000-0000-0000-602f00000000}\p", None)]
    #[case(r"\\.\COM1", None)]
    #[case(r"\\?\C:\work\aux\p", None)]
    #[case(r"\\?\C:\work\dot.", None)]
    #[case(r"\\?\C:\", Some(r"C:\"))]
    #[case(r"C:\work", None)]
    fn windows_verbatim_paths_lose_their_prefix_where_they_can(
        #[case] path: &str,
        #[case] plain: Option<&str>,
    ) {
        assert_eq!(plain_windows_path(path).as_deref(), plain);
    }

    #[cfg(windows)]
    #[test]
    fn there_is_no_way_to_another_drive() {
        let way = relative_text(Path::new(r"C:\work\p"), Path::new(r"D:\cargo"));
        assert_eq!(way, r"D:\cargo");
    }

    #[test]
    fn a_relative_cargo_home_is_relative_to_the_working_directory() {
        let cwd = std::env::temp_dir();
        let relative: Environment = [("CARGO_HOME", "home"), ("HOME", "/h")]
            .into_iter()
            .collect();
        assert_eq!(cargo_home(&relative, &cwd), Some(cwd.join("home")));
    }

    #[cfg(unix)]
    #[test]
    fn without_cargo_home_the_home_directory_of_the_given_environment_counts() {
        let environment: Environment = [("HOME", "/h")].into_iter().collect();
        assert_eq!(
            cargo_home(&environment, Path::new("/x")),
            Some(PathBuf::from("/h/.cargo"))
        );
    }

    #[cfg(unix)]
    #[test]
    fn what_does_not_exist_yet_is_found_behind_a_link() {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let real = physical(directory.path()).expect("it exists");
        fs_err::create_dir(real.join("real")).expect("it is ours");
        fs_err::os::unix::fs::symlink(real.join("real"), real.join("link")).expect("it is ours");
        assert_eq!(
            physical(&real.join("link/not/yet")).expect("its start exists"),
            real.join("real/not/yet")
        );
    }
}
