//! Proxmox: its storage driver, its cloud controller, and the machines of a later phase.

use super::{Group, If, Kind, Phase, Var, alias, forms, var};

pub(super) const PROXMOX: Group = Group {
    title: "Proxmox",
    phase: Phase::Two,
    vars: &[
        var("proxmox_api_url", Kind::Form(&forms::PROXMOX), "The address of the Proxmox API")
            .when(&[If::On("proxmox_csi_enabled")]),
        alias("proxmox_endpoint", "proxmox_api_url"),
        var("proxmox_insecure", Kind::Flag, "Whether the certificate of Proxmox is taken unchecked").off(),
        var(
            "proxmox_region",
            Kind::Text,
            "The region of the nodes; equal to their label `topology.kubernetes.io/region`",
        )
        .text("talos-k8s"),
        var("proxmox_storage", Kind::Text, "The storage of Proxmox that volumes are made on")
            .text("local-lvm"),
        alias("proxmox_csi_storage", "proxmox_storage"),
        var(
            "proxmox_csi_enabled",
            Kind::Flag,
            "The storage driver, which makes the storage classes `proxmox-csi…`",
        )
        .computed("on with both CSI tokens"),
        var("proxmox_csi_token_id", Kind::Form(&forms::TOKEN_ID), "The token of the storage driver")
            .when(&[If::On("proxmox_csi_enabled")]),
        var("proxmox_csi_token_secret", Kind::Secret, "Its secret").when(&[If::On("proxmox_csi_enabled")]),
        var(
            "proxmox_ccm_enabled",
            Kind::Flag,
            "The cloud controller of Proxmox; nothing is rendered from it yet",
        )
        .off(),
        var(
            "proxmox_ccm_token_id",
            Kind::Form(&forms::TOKEN_ID),
            "The token of the cloud controller; nothing is rendered from it yet",
        ),
        var("proxmox_ccm_token_secret", Kind::Secret, "Its secret"),
        var(
            "proxmox_vlan_mode",
            Kind::Flag,
            "Whether the hypervisor tags the traffic, so that nodes have no VLAN interface",
        )
        .off(),
    ],
};

const VM: &[Var] = &[
    var("cores", Kind::Int(1, 64), "Processor cores"),
    var("sockets", Kind::Int(1, 4), "Processor sockets"),
    var("memory", Kind::Int(1024, 262_144), "Memory in MiB"),
    var("disk_size", Kind::Int(32, 4096), "The size of the disk in GiB"),
];

pub(super) const MACHINES: Group = Group {
    title: "Virtual machines on Proxmox",
    phase: Phase::Later,
    vars: &[
        var("proxmox_api_token_id", Kind::Form(&forms::TOKEN_ID), "The token that machines are made with"),
        var("proxmox_api_token_secret", Kind::Secret, "Its secret"),
        var("proxmox_node", Kind::Text, "The host that machines are made on"),
        var("proxmox_disk_storage", Kind::Text, "The storage of their disks").text("local-lvm"),
        var("proxmox_iso_storage", Kind::Text, "The storage of the image they start from").text("local"),
        var("proxmox_vm_defaults", Kind::Fields(VM), "What a machine has where its node says nothing"),
        var("proxmox_vm_controller_defaults", Kind::Fields(VM), "The same for control planes"),
        var("proxmox_vm_worker_defaults", Kind::Fields(VM), "The same for workers"),
    ],
};
