//! The Git repository that Flux follows. The keys that open it are files, not settings.

use super::{Group, If, Kind, Phase, forms, var};

pub(super) const REPOSITORY: Group = Group {
    title: "Repository and Flux",
    phase: Phase::One,
    vars: &[
        var(
            "repository_name",
            Kind::Form(&forms::REPOSITORY),
            "The repository that Flux follows, as owner/repository at GitHub",
        )
        .unless(&[If::Given("repository_url")]),
        var(
            "repository_url",
            Kind::Form(&forms::GIT_URL),
            "The address of the repository where it is not at GitHub",
        ),
        var(
            "repository_known_hosts",
            Kind::Text,
            "The host keys of the Git server, for `ssh://` addresses that are not GitHub's",
        ),
        var("repository_branch", Kind::Form(&forms::BRANCH), "The branch that Flux follows").text("main"),
        var(
            "repository_visibility",
            Kind::Choice(&["public", "private"]),
            "Whether the repository needs a key; `private` reads `github-deploy.key`",
        )
        .text("public"),
        var(
            "flux_webhook_enabled",
            Kind::Flag,
            "Whether pushes are told to Flux at once; reads `github-push-token.txt`",
        )
        .on(),
    ],
};
