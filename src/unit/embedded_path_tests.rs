//! Tests of [`super`], with real rustc and, on Unix, a real C compiler.

use std::{path::Path, time::SystemTime};

use super::*;
use crate::{
    process::user_command,
    unit::{Origin, UnitId},
};

/// Compiles `code` as a library with debug information, as Cargo would with this OUT_DIR.
fn compile(code: &str, directory: &Path) -> Vec<Vec<u8>> {
    let out = directory.join("target/out");
    fs_err::create_dir_all(&out).expect("it can be made");
    fs_err::write(
        out.join("generated.rs"),
        "pub fn first<T: Copy>(all: &[T]) -> T { all[0] }",
    )
    .expect("it can be written");
    let source = directory.join("lib.rs");
    fs_err::write(&source, code).expect("it can be written");
    let status = user_command("rustc".as_ref())
        .args(["--crate-type=rlib", "--emit=metadata,link", "-g"])
        .args(["--crate-name=probe", "--out-dir"])
        .arg(directory)
        .arg(&source)
        .env("OUT_DIR", &out)
        .status()
        .expect("rustc is there");
    assert!(status.success());
    ["libprobe.rlib", "libprobe.rmeta"]
        .map(|name| fs_err::read(directory.join(name)).expect("it was made"))
        .to_vec()
}

fn matters(code: &str) -> bool {
    let directory = tempfile::tempdir().expect("there is room");
    let target = directory.path().join("target");
    let generated = target.join("out/generated.rs");
    let outputs = compile(code, directory.path());
    let text = |path: &Path| path.to_str().expect("it is UTF-8").to_owned();
    let search = PathSearch::new(&text(&target), [text(&generated).as_str()]);
    assert!(
        outputs
            .iter()
            .any(|bytes| memchr::memmem::find(bytes, text(&target).as_bytes()).is_some()),
        "the path must be in there somewhere, or the test shows nothing"
    );
    outputs.iter().any(|bytes| search.matters_in(bytes))
}

#[test]
fn included_generated_code_holds_the_path_only_where_it_does_not_matter() {
    assert!(!matters(
        r#"include!(concat!(env!("OUT_DIR"), "/generated.rs")); pub fn two() -> u8 { first(&[2]) }"#
    ));
}

#[test]
fn a_path_in_a_string_matters() {
    assert!(matters(
        r#"pub fn tool() -> &'static str { concat!(env!("OUT_DIR"), "/bin/protoc") }"#
    ));
}

#[test]
fn a_path_in_an_inlined_function_or_constant_matters() {
    assert!(matters(
        r#"#[inline(always)] pub fn tool<T>() -> &'static str { env!("OUT_DIR") }"#
    ));
    assert!(matters(r#"pub const TOOL: &str = env!("OUT_DIR");"#));
}

/// The run of a build script in `target`, with what `write` put into its `OUT_DIR` and what it printed.
struct Run {
    target: tempfile::TempDir,
    layout: Layout,
}

impl Run {
    fn new(layout: Layout) -> Self {
        let target = tempfile::tempdir().expect("there is room");
        let run = Self { target, layout };
        let out = run.out_directory();
        run.write("OUT/plain.rs", "pub const FIVE: u8 = 5;");
        run.write("ROOT_OUTPUT", &out);
        run.write("STDERR", &format!("built in {out}"));
        run.print("hello");
        run
    }

    fn unit_directory(&self) -> &'static str {
        match self.layout {
            Layout::V1 => "debug/build/probe-0123456789abcdef",
            Layout::V2 => "debug/build/probe/0123456789abcdef",
        }
    }

    fn target(&self) -> &str {
        self.target.path().to_str().expect("it is UTF-8")
    }

    fn out_directory(&self) -> String {
        format!("{}/{}/out", self.target(), self.unit_directory())
    }

    /// Writes a file: `OUT/…`, or one of Cargo's own by the name that stands for it.
    fn write(&self, name: &str, content: &str) {
        let (root_output, printed, stderr) = match self.layout {
            Layout::V1 => ("root-output", "output", "stderr"),
            Layout::V2 => ("run/root-output", "run/stdout", "run/stderr"),
        };
        let name = match name {
            "ROOT_OUTPUT" => root_output.to_owned(),
            "PRINTED" => printed.to_owned(),
            "STDERR" => stderr.to_owned(),
            name => name.replace("OUT/", "out/"),
        };
        let path = self.target.path().join(self.unit_directory()).join(name);
        fs_err::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs_err::write(path, content).expect("it can be written");
    }

    fn print(&self, lines: &str) {
        self.write("PRINTED", lines);
    }

    fn holds(&self) -> bool {
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(self.target.path()) {
            let entry = entry.expect("it can be listed");
            let facts = entry.metadata().expect("it is there");
            if facts.is_file() {
                let path = entry.path().strip_prefix(self.target.path());
                files.push(UnitFile {
                    path: RelativePath::from_native(path.expect("below")).expect("plain"),
                    kind: FileKind::File,
                    bytes: facts.len(),
                    inode: None,
                    is_fingerprint: false,
                });
            }
        }
        let unit = Unit {
            id: UnitId {
                profile: RelativePath::new("debug").expect("plain"),
                package: "probe".to_owned(),
                hash: "0123456789abcdef".to_owned(),
            },
            layout: self.layout,
            kind: UnitKind::BuildScriptRun,
            origin: Origin::Elsewhere,
            fingerprint: None,
            more_fingerprints: Vec::new(),
            files,
            compiled_at: SystemTime::UNIX_EPOCH,
            compile_time: None,
            accessed_at: SystemTime::UNIX_EPOCH,
        };
        holds_target_path(self.target.path(), &unit)
    }

    /// Compiles C code that lies in `OUT_DIR` into a static library there, with debug information.
    #[cfg(unix)]
    fn compile_c(&self, code: &str) {
        self.write("OUT/probe.c", code);
        let out = self.out_directory();
        let run = |program: &str, arguments: &[String]| {
            let status = user_command(program.as_ref()).args(arguments).status();
            assert!(status.expect("it is there").success(), "{program}");
        };
        let (source, object) = (format!("{out}/probe.c"), format!("{out}/probe.o"));
        let compile = ["-g", "-c", &source, "-o", &object].map(str::to_owned);
        run("cc", &compile);
        let library = ["crs", &format!("{out}/libprobe.a"), &object].map(str::to_owned);
        run("ar", &library);
        let bytes = fs_err::read(object).expect("it was made");
        assert!(
            memchr::memmem::find(&bytes, self.target().as_bytes()).is_some(),
            "the path must be in there somewhere, or the test shows nothing"
        );
    }
}

#[rstest::rstest]
fn a_run_that_wrote_no_path_holds_none(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    assert!(!Run::new(layout).holds());
}

#[rstest::rstest]
fn generated_code_that_includes_by_absolute_path_matters(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
    #[values("g.rs", "deep/in/g.rs", "bindings.txt", "no-extension")] name: &str,
) {
    let run = Run::new(layout);
    let code = format!("include!(\"{}/x.rs\");", run.out_directory());
    run.write(&format!("OUT/{name}"), &code);
    assert!(run.holds());
}

#[rstest::rstest]
#[case::pkg_config("lib/pkgconfig/z.pc", true)]
#[case::cmake_refuses_another_ones_cache("build/CMakeCache.txt", true)]
#[case::autotools_log("config.log", false)]
#[case::autotools_state("build/config.status", false)]
#[case::make("build/Makefile", false)]
#[case::dependencies_of_an_object("0123-probe.o.d", false)]
fn only_what_others_read_counts(#[case] name: &str, #[case] holds: bool) {
    let run = Run::new(Layout::V1);
    run.write(
        &format!("OUT/{name}"),
        &format!("prefix={}", run.out_directory()),
    );
    assert_eq!(run.holds(), holds);
}

#[test]
fn only_what_is_no_library_has_a_length_at_which_the_search_ends() {
    let run = Run::new(Layout::V1);
    let filling = " ".repeat(usize::try_from(LONGEST_SEARCHED).expect("small"));
    let content = format!("{} {filling}", run.out_directory());
    run.write("OUT/long.bin", &content);
    assert!(!run.holds());
    run.write("OUT/damaged.a", &format!("!<arch>\n{content}"));
    assert!(run.holds());
}

#[rstest::rstest]
#[case::nothing("cargo:rustc-cfg=fast", false)]
#[case::own_out_directory("cargo:rustc-link-search=native=OUT_DIR/lib", false)]
#[case::another_units("cargo:rustc-link-search=native=TARGET/debug/build/z-1/out", true)]
#[case::new_syntax("cargo::rustc-env=TOOL=TARGET/debug/tool", true)]
#[case::both("cargo:include=OUT_DIR/include:TARGET/debug/build/z-1/out", true)]
#[case::makes_it_run_again("cargo:rerun-if-changed=TARGET/debug/build/z-1/out/zlib.h", false)]
#[case::for_people("cargo:warning=see TARGET/debug", false)]
#[case::no_directive("running: cc -I TARGET/debug/build/z-1/out", false)]
fn of_what_was_printed_only_directives_with_foreign_paths_matter(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
    #[case] line: &str,
    #[case] holds: bool,
) {
    let run = Run::new(layout);
    let line = line
        .replace("OUT_DIR", &run.out_directory())
        .replace("TARGET", run.target());
    run.print(&format!("cargo:rustc-cfg=first\n{line}\n"));
    assert_eq!(run.holds(), holds);
}

#[cfg(unix)]
#[test]
fn debug_information_and_names_of_sources_in_c_libraries_do_not_matter() {
    let run = Run::new(Layout::V1);
    run.compile_c("const char *where(void) { return __FILE__; }");
    assert!(!run.holds());
}

#[cfg(unix)]
#[test]
fn a_path_in_the_code_of_a_c_library_matters() {
    let run = Run::new(Layout::V1);
    let code = format!(
        "const char *modules(void) {{ return \"{}/lib/modules\"; }}",
        run.out_directory()
    );
    run.compile_c(&code);
    // The source has it too, and would be enough.
    run.write("OUT/probe.c", "");
    assert!(run.holds());
}
