//! The kinds that every API server knows, from the types of a library. A kind that is not listed here is looked for elsewhere.

use k8s_openapi::{
    Resource,
    api::{
        admissionregistration::v1 as admission, apps::v1 as apps, autoscaling::v2 as autoscaling,
        batch::v1 as batch, coordination::v1 as coordination, core::v1 as core, discovery::v1 as discovery,
        networking::v1 as networking, node::v1 as node, policy::v1 as policy, rbac::v1 as rbac,
        scheduling::v1 as scheduling, storage::v1 as storage,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions,
    kube_aggregator::pkg::apis::apiregistration::v1 as registration,
};
use serde_json::{Value, json};

/// Quantities, such as `500m`.
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
/// What stands for parts of schemas in definitions of kinds; the library takes all of them for objects.
const PARTS: &str = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSON";

/// The schema of a kind, if the core has it.
pub(super) fn schema(version: &str, kind: &str) -> Option<Value> {
    macro_rules! among {
        ($($of:ty),* $(,)?) => {
            $(if version == <$of as Resource>::API_VERSION && kind == <$of as Resource>::KIND {
                return made(schemars::schema_for!($of));
            })*
        };
    }
    among!(
        core::ConfigMap,
        core::Endpoints,
        core::LimitRange,
        core::Namespace,
        core::PersistentVolume,
        core::PersistentVolumeClaim,
        core::Pod,
        core::PodTemplate,
        core::ReplicationController,
        core::ResourceQuota,
        core::Secret,
        core::Service,
        core::ServiceAccount,
        apps::DaemonSet,
        apps::Deployment,
        apps::ReplicaSet,
        apps::StatefulSet,
        autoscaling::HorizontalPodAutoscaler,
        batch::CronJob,
        batch::Job,
        coordination::Lease,
        discovery::EndpointSlice,
        networking::Ingress,
        networking::IngressClass,
        networking::NetworkPolicy,
        node::RuntimeClass,
        policy::PodDisruptionBudget,
        rbac::ClusterRole,
        rbac::ClusterRoleBinding,
        rbac::Role,
        rbac::RoleBinding,
        scheduling::PriorityClass,
        storage::CSIDriver,
        storage::StorageClass,
        storage::VolumeAttachment,
        admission::MutatingWebhookConfiguration,
        admission::ValidatingAdmissionPolicy,
        admission::ValidatingAdmissionPolicyBinding,
        admission::ValidatingWebhookConfiguration,
        extensions::CustomResourceDefinition,
        registration::APIService,
    );
    None
}

fn made(schema: schemars::Schema) -> Option<Value> {
    let mut schema = Value::from(schema);
    for (name, definition) in schema.get_mut("$defs").and_then(Value::as_object_mut).into_iter().flatten() {
        let props = json!({"$ref": format!("#/$defs/{PARTS}SchemaProps")});
        match name.strip_prefix(PARTS) {
            _ if name == QUANTITY => *definition = json!({"type": ["number", "string"]}),
            Some("") => *definition = json!({}),
            Some("SchemaPropsOrBool") => *definition = json!({"anyOf": [props, {"type": "boolean"}]}),
            Some("SchemaPropsOrArray") => {
                *definition = json!({"anyOf": [props, {"type": "array", "items": props}]});
            }
            Some("SchemaPropsOrStringArray") => {
                *definition = json!({"anyOf": [props, {"type": "array", "items": {"type": "string"}}]});
            }
            _ => {}
        }
    }
    Some(schema)
}
