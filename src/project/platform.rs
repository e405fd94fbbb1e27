//! What the job runs on. Whatever can't be found out is left out: it costs a warm start at worst after an upgrade.

use std::path::Path;

use crate::{
    environment::Environment,
    key::recipe::{Cpu, Platform},
    process::{Tool, ToolError},
};

/// Finds out system, distribution and C library. `directory` is where tools are started.
pub fn read(directory: &Path, environment: &Environment) -> Platform {
    Platform {
        os: std::env::consts::OS.to_owned(),
        arch: std::env::consts::ARCH.to_owned(),
        distribution: distribution(directory, environment),
        libc: libc(directory, environment),
        cpu: None,
    }
}

/// The image that a hosted runner was made from, such as `ubuntu24 20251102.1.0`: for an entry's header, never for
/// a key, as it changes every week.
pub fn image(environment: &Environment) -> Option<String> {
    let system = environment.text("ImageOS")?;
    Some(match environment.text("ImageVersion") {
        Some(version) => format!("{system} {version}"),
        None => system.to_owned(),
    })
}

fn distribution(directory: &Path, environment: &Environment) -> Option<String> {
    if cfg!(target_os = "linux") {
        ["/etc/os-release", "/usr/lib/os-release"]
            .iter()
            .find_map(|path| fs_err::read_to_string(path).ok())
            .and_then(|text| parse_os_release(&text))
    } else if cfg!(target_os = "macos") {
        let answer = Tool::new("sw_vers", directory, environment)
            .args(["-productVersion"])
            .output();
        parse_macos_version(&answer.ok()?)
    } else if cfg!(windows) {
        let answer = Tool::new("cmd", directory, environment)
            .args(["/d", "/c", "ver"])
            .output();
        parse_windows_version(&answer.ok()?)
    } else {
        None
    }
}

/// `ID` and `VERSION_ID` of an os-release file: `ubuntu 24.04`. Rolling distributions have no version.
pub fn parse_os_release(text: &str) -> Option<String> {
    let value = |name: &str| {
        text.lines().find_map(|line| {
            let value = line.trim().strip_prefix(name)?.strip_prefix('=')?.trim();
            let value = value.trim_matches(|quote| matches!(quote, '"' | '\''));
            (!value.is_empty()).then(|| value.to_owned())
        })
    };
    let id = value("ID")?;
    Some(match value("VERSION_ID") {
        Some(version) => format!("{id} {version}"),
        None => id,
    })
}

/// `15.7.1` is `macos 15`: what is built does not depend on the rest.
pub fn parse_macos_version(text: &str) -> Option<String> {
    let major = text.trim().split('.').next()?;
    let is_number = !major.is_empty() && major.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| format!("macos {major}"))
}

/// `Microsoft Windows [Version 10.0.20348.2529]` is `windows 10.0.20348`: the last number is that of an update.
pub fn parse_windows_version(text: &str) -> Option<String> {
    let start = text.find(|character: char| character.is_ascii_digit())?;
    let version = text[start..].split(']').next()?.trim();
    let build: Vec<_> = version.split('.').take(3).collect();
    Some(format!("windows {}", build.join(".")))
}

/// glibc names itself to `getconf`, musl's loader to whoever starts it.
fn libc(directory: &Path, environment: &Environment) -> Option<String> {
    if !cfg!(target_os = "linux") {
        return None;
    }
    let answer = Tool::new("getconf", directory, environment)
        .args(["GNU_LIBC_VERSION"])
        .output();
    if let Some(version) = answer.ok().and_then(|text| parse_glibc_version(&text)) {
        return Some(version);
    }
    let loader = musl_loader()?;
    match Tool::new(&loader, directory, environment).output() {
        // It prints its version as a part of how to use it, and fails.
        Err(ToolError::Failed { stderr, .. }) => parse_musl_version(&stderr),
        _ => Some("musl".to_owned()),
    }
}

fn musl_loader() -> Option<std::path::PathBuf> {
    let entries = fs_err::read_dir("/lib").ok()?;
    entries
        .filter_map(Result::ok)
        .find(|entry| entry.file_name().to_string_lossy().starts_with("ld-musl-"))
        .map(|entry| entry.path())
}

/// What `getconf GNU_LIBC_VERSION` prints: `glibc 2.39`.
pub fn parse_glibc_version(text: &str) -> Option<String> {
    let version = text.trim().strip_prefix("glibc ")?;
    Some(format!("glibc {version}"))
}

/// What musl's loader prints: a line `Version 1.2.5` among others.
pub fn parse_musl_version(text: &str) -> Option<String> {
    let version = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("Version "));
    text.contains("musl")
        .then(|| version.map_or_else(|| "musl".to_owned(), |version| format!("musl {version}")))
}

/// The CPU, for builds that are made for it alone.
pub fn read_cpu(directory: &Path, environment: &Environment) -> Option<Cpu> {
    if cfg!(target_os = "linux") {
        parse_cpuinfo(&fs_err::read_to_string("/proc/cpuinfo").ok()?)
    } else if cfg!(target_os = "macos") {
        let answer = Tool::new("sysctl", directory, environment)
            .args(["-n", "machdep.cpu.brand_string"])
            .output();
        Some(Cpu {
            model: answer.ok()?.trim().to_owned(),
            features: Vec::new(),
        })
    } else {
        let model = environment.text("PROCESSOR_IDENTIFIER")?;
        Some(Cpu {
            model: model.to_owned(),
            features: Vec::new(),
        })
    }
}

/// The first processor of `/proc/cpuinfo`: model and flags on x86, implementer, part and features on Arm.
pub fn parse_cpuinfo(text: &str) -> Option<Cpu> {
    let first = text.split("\n\n").find(|block| !block.trim().is_empty())?;
    let value = |name: &str| {
        first.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name).then(|| value.trim().to_owned())
        })
    };
    let model = value("model name").or_else(|| {
        let implementer = value("CPU implementer")?;
        let part = value("CPU part").unwrap_or_default();
        Some(format!("implementer {implementer} part {part}"))
    });
    let features = value("flags")
        .or_else(|| value("Features"))
        .unwrap_or_default();
    Some(Cpu {
        model: model?,
        features: features.split_whitespace().map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case(
        "NAME=\"Ubuntu\"\nVERSION_ID=\"24.04\"\nID=ubuntu\nID_LIKE=debian\n",
        Some("ubuntu 24.04")
    )]
    #[case("ID='alpine'\nVERSION_ID=3.22.1\n", Some("alpine 3.22.1"))]
    #[case("ID=arch\nBUILD_ID=rolling\n", Some("arch"))]
    #[case("# nothing\n", None)]
    fn a_distribution_is_its_id_and_version(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(parse_os_release(text).as_deref(), expected);
    }

    #[test]
    fn the_c_library_names_itself() {
        assert_eq!(
            parse_glibc_version("glibc 2.36\n").as_deref(),
            Some("glibc 2.36")
        );
        assert_eq!(parse_glibc_version("undefined\n"), None);
        let usage = "musl libc (x86_64)\nVersion 1.2.5\nDynamic Program Loader\nUsage: ld";
        assert_eq!(parse_musl_version(usage).as_deref(), Some("musl 1.2.5"));
        assert_eq!(parse_musl_version("ld.so: no such option"), None);
    }

    #[test]
    fn updates_of_a_system_do_not_count_and_versions_do() {
        assert_eq!(parse_macos_version("15.7.1\n").as_deref(), Some("macos 15"));
        assert_eq!(parse_macos_version("sw_vers: not found"), None);
        assert_eq!(
            parse_windows_version("\r\nMicrosoft Windows [Version 10.0.20348.2529]\r\n").as_deref(),
            Some("windows 10.0.20348")
        );
    }

    #[test]
    fn a_cpu_is_its_model_and_features() {
        let intel = "processor : 0\nmodel name : Xeon\nflags : sse2 avx\n\nprocessor : 1\nmodel name : Other\n";
        let cpu = parse_cpuinfo(intel).expect("it names a model");
        assert_eq!(
            (cpu.model.as_str(), cpu.features),
            ("Xeon", vec!["sse2".into(), "avx".into()])
        );
        let arm = "processor : 0\nFeatures : fp asimd\nCPU implementer : 0x41\nCPU part : 0xd0c\n";
        let cpu = parse_cpuinfo(arm).expect("it names a part");
        assert_eq!(cpu.model, "implementer 0x41 part 0xd0c");
        assert_eq!(parse_cpuinfo(""), None);
    }

    #[test]
    fn the_image_is_told_where_a_runner_names_it() {
        let environment: Environment = [("ImageOS", "ubuntu24"), ("ImageVersion", "20251102.1.0")]
            .into_iter()
            .collect();
        assert_eq!(
            image(&environment).as_deref(),
            Some("ubuntu24 20251102.1.0")
        );
        assert_eq!(image(&Environment::default()), None);
    }
}
