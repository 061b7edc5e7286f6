//! SOPS files, wire-compatible both ways: values sealed with AES-256-GCM under a data key that age recipients can open.
//! Scalars are replaced in the text, so that layout, comments and order of a document survive. Pure: no IO, no clock, no
//! randomness of its own; who calls hands those in. Recipients other than age are named and refused (decision D75).
