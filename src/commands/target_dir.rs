//! `hotcrate target-dir`: which target directory this checkout should build in.

use std::io::{self, Write as _};

use crate::{
    bucket::{BucketKind, TargetMode},
    bucket_settings::BucketSettings,
    cli::TargetDirArguments,
    commands::{STATUS_FAILURE, STATUS_SUCCESS, STATUS_USAGE, attempt},
    console::Console,
    engine::{Purpose, TargetBucket, open_bucket},
    environment::Environment,
    settings::Settings,
};

/// Prints the directory, or what makes Cargo build in it. Here trouble is a failure: there is nothing to go on with.
pub(super) fn target_dir(
    arguments: &TargetDirArguments,
    settings: &Settings,
    environment: &Environment,
    console: &Console,
) -> u8 {
    let patterns = &arguments.worktree_patterns;
    let about = match BucketSettings::check(&arguments.mode, patterns, "") {
        Ok(about) => about,
        Err(error) => {
            console.error(&error.to_string());
            return STATUS_USAGE;
        }
    };
    let printed = attempt(console, "no target directory", || {
        let bucket = open_bucket(Purpose::Tell, settings, &about, environment, console)?;
        console.line(&bucket.choice.to_string());
        if about.mode == TargetMode::Shared && bucket.choice.kind == BucketKind::Shared {
            console.detail(
                "checkouts that share a bucket have to ask for it before each build: Cargo can't tell their crates apart",
            );
        }
        let text = render(&bucket, arguments);
        let _closed_pipe = io::stdout().lock().write_all(text.as_bytes());
        Ok(())
    });
    if printed.is_some() {
        STATUS_SUCCESS
    } else {
        STATUS_FAILURE
    }
}

fn render(bucket: &TargetBucket, arguments: &TargetDirArguments) -> String {
    if arguments.shell {
        let exports = bucket
            .variables()
            .into_iter()
            .map(|(name, value)| format!("export {name}={}\n", quoted(&value.to_string_lossy())));
        exports.collect()
    } else if arguments.cargo_config {
        bucket.cargo_config()
    } else {
        format!("{}\n", bucket.target.display())
    }
}

/// `text` as one word for a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_is_in_it() {
        insta::assert_snapshot!(quoted("/home/o'neill/my target"), @r"'/home/o'\''neill/my target'");
    }
}
