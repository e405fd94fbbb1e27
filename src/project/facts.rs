//! What discovery found, as the plain facts that keys are made of.

use std::path::PathBuf;

use super::{Project, Workspace, paths::relative_text, tree::TreeRequest};
use crate::{
    environment::Environment,
    key::{Fact, JobIdentity, KeyFacts, environment, lockfile, settings},
};

impl Project {
    /// The facts for the keys of all tiers. `extra_env` are the names, or beginnings of names, of environment variables
    /// that the user adds.
    pub fn key_facts(
        &self,
        environment: &Environment,
        extra_env: &[String],
        job: JobIdentity,
    ) -> KeyFacts {
        let mut packages = Vec::new();
        let mut settings = Vec::new();
        for workspace in &self.workspaces {
            packages.extend(self.packages(workspace));
            settings.extend(self.settings(workspace));
        }
        KeyFacts {
            platform: self.platform.clone(),
            cargo_home: self.cargo_home.display().to_string(),
            locations: self.locations(),
            toolchain: self.toolchain.clone(),
            env: environment::facts(environment, extra_env),
            prefix: None,
            job,
            packages,
            settings,
        }
    }

    /// What to read for the `tree` part: the workspaces, and members and path dependencies outside of them, without what Cargo
    /// downloads and builds.
    pub fn tree_request(&self) -> TreeRequest<'_> {
        let directories = self.workspaces.iter().flat_map(|workspace| {
            let members = workspace.members.iter().map(|member| &member.directory);
            std::iter::once(&workspace.root)
                .chain(members)
                .chain(&workspace.path_dependencies)
        });
        let targets = self.roots.iter().map(|root| &root.directory);
        // Where the user names a target directory, Cargo's own is none of the project's files either.
        let cargos = self
            .workspaces
            .iter()
            .flat_map(|workspace| [&workspace.target_directory, &workspace.build_directory]);
        let excluded: Vec<PathBuf> = targets
            .chain(cargos)
            .chain([&self.cargo_home])
            .cloned()
            .collect();
        TreeRequest {
            project: &self.directory,
            directories: directories.cloned().collect(),
            excluded,
        }
    }

    fn packages(&self, workspace: &Workspace) -> Vec<Fact> {
        match &workspace.lockfile {
            Some(lockfile) => lockfile::facts(lockfile),
            None => workspace
                .manifests
                .iter()
                .flat_map(|file| {
                    let label = relative_text(&self.directory, &file.directory.join("Cargo.toml"));
                    settings::dependency_facts(&label, &file.table, file.role)
                })
                .collect(),
        }
    }

    fn settings(&self, workspace: &Workspace) -> Vec<Fact> {
        let manifests = workspace.manifests.iter().flat_map(|file| {
            let label = relative_text(&self.directory, &file.directory.join("Cargo.toml"));
            settings::manifest_facts(&label, &file.table, file.role)
        });
        let config = workspace
            .config
            .iter()
            .flat_map(|file| settings::config_facts(&file.label, &file.table));
        manifests
            .chain(config)
            .chain(workspace.toolchain_files.iter().cloned())
            .collect()
    }

    fn locations(&self) -> Vec<Fact> {
        let workspaces = self.workspaces.iter().map(|workspace| {
            let name = relative_text(&self.directory, &workspace.root);
            Fact::new(
                format!("workspace {name}"),
                workspace.root.display().to_string(),
            )
        });
        let targets = self.roots.iter().map(|root| {
            Fact::new(
                format!("target {}", root.name),
                root.directory.display().to_string(),
            )
        });
        workspaces.chain(targets).collect()
    }
}
