//! What machines and Kubernetes itself are. What a single node is stands in `nodes`.

use super::{Group, Kind, Phase, forms, switch, var};

pub(super) const TALOS: Group = Group {
    title: "Talos and Kubernetes",
    phase: Phase::One,
    vars: &[
        var(
            "cluster_name",
            Kind::Form(&forms::LABEL),
            "The name of the cluster, in Talos and in its kubeconfig",
        )
        .text("kubernetes"),
        var(
            "talos_version",
            Kind::Form(&forms::SEMVER),
            "The version of Talos; from 1.14 on the patches are documents of their own",
        )
        .text("1.12.0"),
        var("kubernetes_version", Kind::Form(&forms::SEMVER), "The version of Kubernetes").text("1.35.0"),
        var(
            "allow_scheduling_on_control_planes",
            Kind::Flag,
            "Whether workloads may run on control-plane nodes",
        )
        .on(),
        var("spegel_enabled", Kind::Flag, "Whether nodes hand images to each other")
            .computed("on with more than one node"),
        switch("hubble_enabled", "Hubble, the view into the traffic of the cluster"),
        switch("hubble_ui_enabled", "The web page of Hubble"),
    ],
};
