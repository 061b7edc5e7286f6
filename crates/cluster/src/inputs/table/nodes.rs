//! The fields of one node of `nodes.yaml`.

use super::{Kind, Var, forms, switch, var};

/// The fields of one entry of `nodes`.
pub const NODE: &[Var] = &[
    var("name", Kind::Form(&forms::LABEL), "Its host name; not `global`, `controller` or `worker`").always(),
    var("address", Kind::Ip, "Its address, inside `node_cidr`").always(),
    var("controller", Kind::Flag, "Whether it is a control plane").always(),
    var("disk", Kind::Text, "The disk to install on: a path such as `/dev/sda`, or the serial number")
        .always(),
    var("mac_addr", Kind::Mac, "Its network card; capitals and dashes are taken as well").always(),
    var("schematic_id", Kind::Form(&forms::SCHEMATIC), "Its image of the Talos image factory").always(),
    var("nodeLabels", Kind::Labels, "Labels that it has in Kubernetes"),
    var("mtu", Kind::Int(1450, 9000), "The largest packet of its network").int(1500),
    switch("secureboot", "Whether it starts signed images only"),
    switch("encrypt_disk", "Whether its disk is encrypted with a key of its TPM"),
    var("kernel_modules", Kind::List(&Kind::Text, 0), "Kernel modules to load").texts(&[]),
    var("vm_id", Kind::Int(100, 999_999_999), "The number of its virtual machine"),
    var("vm_cores", Kind::Int(1, 64), "Processor cores of its virtual machine"),
    var("vm_sockets", Kind::Int(1, 4), "Processor sockets of its virtual machine"),
    var("vm_memory", Kind::Int(1024, 262_144), "Memory of its virtual machine in MiB"),
    var("vm_disk_size", Kind::Int(32, 4096), "The size of its virtual machine's disk in GiB"),
    var("vm_startup_order", Kind::Int(1, 100), "When its virtual machine starts among the others"),
    var("vm_startup_delay", Kind::Int(0, 300), "Seconds to wait after its start"),
    var("vm_shutdown_delay", Kind::Int(0, 600), "Seconds to wait for it to end"),
];
