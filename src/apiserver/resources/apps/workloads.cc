// Workloads: what has a selector, a template and replicas.
#include "apiserver/resources/kinds.h"
#include "schema/codec.h"

namespace redoubt::apiserver {

namespace {

void default_template(Value& object, Arena& arena) {
  Value& spec = object.object_at(arena, "spec");
  if (Value* tmpl = spec.find("template")) default_pod_spec(tmpl->object_at(arena, "spec"), arena);
}

void validate_template(const Value& object, Causes& causes) {
  Value selector = object.get({"spec", "selector"}), labels = object.get({"spec", "template", "metadata", "labels"});
  if (!selector.is_object()) {
    required(causes, "spec.selector");
  } else {
    validate_label_selector(selector, "spec.selector", causes);
    if (selector.get({"matchLabels"}).empty() && selector.get({"matchExpressions"}).empty()) {
      invalid_value(causes, "spec.selector", "{}", "empty selector is invalid for this kind");
    } else if (!selector_matches(selector, labels)) {
      add_cause(causes, "FieldValueInvalid", "spec.template.metadata.labels",
                fmt::format("Invalid value: {}: `selector` does not match template `labels`",
                            schema::to_json(labels, nullptr)));
    }
  }
  validate_pod_spec(object.get({"spec", "template", "spec"}), "spec.template.spec", causes);
  if (Value replicas = object.get({"spec", "replicas"}); replicas.is_int() && replicas.as_int() < 0) {
    add_cause(causes, "FieldValueInvalid", "spec.replicas",
              fmt::format("Invalid value: {}: must be greater than or equal to 0", replicas.as_int()));
  }
}

void always_restarts(const Value& object, Causes& causes) {
  std::string_view policy = object.get({"spec", "template", "spec", "restartPolicy"}).as_string();
  if (policy != "Always") not_supported(causes, "spec.template.spec.restartPolicy", policy, {"Always"});
}

void keep_selector(const Value& object, const Value& old, Causes& causes) {
  immutable(causes, object.get({"spec", "selector"}), old.get({"spec", "selector"}), "spec.selector");
}

SelectableFields replicas_field(const Value& object) {
  return {{"status.replicas", std::to_string(object.get({"status", "replicas"}).as_int())}};
}

}  // namespace

KindHooks deployment_hooks() {
  KindHooks hooks;
  hooks.defaults = [](Value& d, Arena& arena) {
    default_template(d, arena);
    Value& spec = d.object_at(arena, "spec");
    set_default(spec, arena, "replicas", Value::integer(1));
    set_default(spec, arena, "revisionHistoryLimit", Value::integer(10));
    set_default(spec, arena, "progressDeadlineSeconds", Value::integer(600));
    Value& strategy = spec.object_at(arena, "strategy");
    set_default(strategy, arena, "type", Value::string("RollingUpdate"));
    if (strategy.get({"type"}).as_string() == "RollingUpdate") {
      Value& rolling = strategy.object_at(arena, "rollingUpdate");
      set_default(rolling, arena, "maxUnavailable", Value::string("25%"));
      set_default(rolling, arena, "maxSurge", Value::string("25%"));
    }
  };
  hooks.validate = [](const Value& d, Causes& causes) {
    validate_template(d, causes);
    always_restarts(d, causes);
    std::string_view type = d.get({"spec", "strategy", "type"}).as_string();
    if (type != "RollingUpdate" && type != "Recreate")
      not_supported(causes, "spec.strategy.type", type, {"Recreate", "RollingUpdate"});
    if (type == "Recreate" && d.get({"spec", "strategy"}).has("rollingUpdate")) {
      add_cause(causes, "FieldValueForbidden", "spec.strategy.rollingUpdate",
                "Forbidden: may not be specified when strategy `type` is 'Recreate'");
    }
  };
  hooks.validate_update = keep_selector;
  return hooks;
}

KindHooks replica_set_hooks() {
  KindHooks hooks;
  hooks.defaults = [](Value& rs, Arena& arena) {
    default_template(rs, arena);
    set_default(rs.object_at(arena, "spec"), arena, "replicas", Value::integer(1));
  };
  hooks.validate = [](const Value& rs, Causes& causes) {
    validate_template(rs, causes);
    always_restarts(rs, causes);
  };
  hooks.validate_update = keep_selector;
  hooks.fields = replicas_field;
  hooks.field_labels = {"status.replicas"};
  return hooks;
}

KindHooks replication_controller_hooks() {
  KindHooks hooks;
  hooks.defaults = [](Value& rc, Arena& arena) {
    default_template(rc, arena);
    Value& spec = rc.object_at(arena, "spec");
    set_default(spec, arena, "replicas", Value::integer(1));
    if (spec.get({"selector"}).empty()) {
      if (Value labels = spec.get({"template", "metadata", "labels"}); labels.is_object())
        spec.set(arena, "selector", labels.clone(arena));
    }
  };
  hooks.validate = [](const Value& rc, Causes& causes) {
    if (rc.get({"spec", "selector"}).empty()) required(causes, "spec.selector");
    validate_pod_spec(rc.get({"spec", "template", "spec"}), "spec.template.spec", causes);
  };
  hooks.fields = replicas_field;
  hooks.field_labels = {"status.replicas"};
  return hooks;
}

KindHooks daemon_set_hooks() {
  KindHooks hooks;
  hooks.defaults = [](Value& ds, Arena& arena) {
    default_template(ds, arena);
    Value& spec = ds.object_at(arena, "spec");
    set_default(spec, arena, "revisionHistoryLimit", Value::integer(10));
    Value& strategy = spec.object_at(arena, "updateStrategy");
    set_default(strategy, arena, "type", Value::string("RollingUpdate"));
    if (strategy.get({"type"}).as_string() == "RollingUpdate") {
      Value& rolling = strategy.object_at(arena, "rollingUpdate");
      set_default(rolling, arena, "maxUnavailable", Value::integer(1));
      set_default(rolling, arena, "maxSurge", Value::integer(0));
    }
  };
  hooks.validate = [](const Value& ds, Causes& causes) {
    validate_template(ds, causes);
    always_restarts(ds, causes);
  };
  hooks.validate_update = keep_selector;
  return hooks;
}

KindHooks stateful_set_hooks() {
  KindHooks hooks;
  hooks.defaults = [](Value& sts, Arena& arena) {
    default_template(sts, arena);
    Value& spec = sts.object_at(arena, "spec");
    set_default(spec, arena, "replicas", Value::integer(1));
    set_default(spec, arena, "podManagementPolicy", Value::string("OrderedReady"));
    set_default(spec, arena, "revisionHistoryLimit", Value::integer(10));
    Value& strategy = spec.object_at(arena, "updateStrategy");
    set_default(strategy, arena, "type", Value::string("RollingUpdate"));
    if (strategy.get({"type"}).as_string() == "RollingUpdate")
      set_default(strategy.object_at(arena, "rollingUpdate"), arena, "partition", Value::integer(0));
    Value& retention = spec.object_at(arena, "persistentVolumeClaimRetentionPolicy");
    set_default(retention, arena, "whenDeleted", Value::string("Retain"));
    set_default(retention, arena, "whenScaled", Value::string("Retain"));
  };
  hooks.validate = [](const Value& sts, Causes& causes) {
    validate_template(sts, causes);
    always_restarts(sts, causes);
  };
  hooks.validate_update = [](const Value& sts, const Value& old, Causes& causes) {
    Arena arena;
    Value now = sts.get({"spec"}).clone(arena), before = old.get({"spec"}).clone(arena);
    for (const char* free : {"replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit",
                             "persistentVolumeClaimRetentionPolicy", "minReadySeconds"}) {
      now.erase(free);
      before.erase(free);
    }
    if (!now.equals(before)) {
      add_cause(causes, "FieldValueForbidden", "spec",
                "Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', "
                "'updateStrategy', 'revisionHistoryLimit', "
                "'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
    }
  };
  return hooks;
}

KindHooks job_hooks() {
  KindHooks hooks;
  hooks.defaults = [](Value& job, Arena& arena) {
    default_template(job, arena);
    Value& spec = job.object_at(arena, "spec");
    if (!spec.has("completions") && !spec.has("parallelism")) {
      spec.set(arena, "completions", Value::integer(1));
      spec.set(arena, "parallelism", Value::integer(1));
    }
    set_default(spec, arena, "parallelism", Value::integer(1));
    set_default(spec, arena, "backoffLimit", Value::integer(6));
    set_default(spec, arena, "completionMode", Value::string("NonIndexed"));
    set_default(spec, arena, "suspend", Value::boolean(false));
    set_default(spec, arena, "manualSelector", Value::boolean(false));
    set_default(spec, arena, "podReplacementPolicy", Value::string("TerminatingOrFailed"));
  };
  // A Job finds its pods by its own uid, unless it asks to choose the selector itself.
  hooks.identify = [](Value& job, Arena& arena) {
    Value& spec = job.object_at(arena, "spec");
    if (spec.get({"manualSelector"}).as_bool()) return;
    Value uid = job.get({"metadata", "uid"}), name = job.get({"metadata", "name"});
    Value& labels = spec.object_at(arena, "template").object_at(arena, "metadata").object_at(arena, "labels");
    labels.set(arena, "controller-uid", uid);
    labels.set(arena, "job-name", name);
    labels.set(arena, "batch.kubernetes.io/controller-uid", uid);
    labels.set(arena, "batch.kubernetes.io/job-name", name);
    spec.object_at(arena, "selector")
        .object_at(arena, "matchLabels")
        .set(arena, "batch.kubernetes.io/controller-uid", uid);
  };
  hooks.validate = [](const Value& job, Causes& causes) {
    validate_pod_spec(job.get({"spec", "template", "spec"}), "spec.template.spec", causes);
    std::string_view policy = job.get({"spec", "template", "spec", "restartPolicy"}).as_string();
    if (policy != "OnFailure" && policy != "Never")
      not_supported(causes, "spec.template.spec.restartPolicy", policy, {"OnFailure", "Never"});
  };
  hooks.validate_update = [](const Value& job, const Value& old, Causes& causes) {
    if (old.get({"spec", "selector"}).is_object()) keep_selector(job, old, causes);
    immutable(causes, job.get({"spec", "completionMode"}), old.get({"spec", "completionMode"}), "spec.completionMode");
  };
  hooks.fields = [](const Value& job) {
    return SelectableFields{{"status.successful", std::to_string(job.get({"status", "succeeded"}).as_int())}};
  };
  hooks.field_labels = {"status.successful"};
  return hooks;
}

KindHooks cron_job_hooks() {
  KindHooks hooks;
  hooks.defaults = [](Value& cron, Arena& arena) {
    Value& spec = cron.object_at(arena, "spec");
    set_default(spec, arena, "concurrencyPolicy", Value::string("Allow"));
    set_default(spec, arena, "suspend", Value::boolean(false));
    set_default(spec, arena, "successfulJobsHistoryLimit", Value::integer(3));
    set_default(spec, arena, "failedJobsHistoryLimit", Value::integer(1));
    Value pod = spec.get({"jobTemplate", "spec", "template"});
    if (pod.is_object()) default_pod_spec(pod.object_at(arena, "spec"), arena);
  };
  hooks.validate = [](const Value& cron, Causes& causes) {
    if (cron.get({"spec", "schedule"}).as_string().empty()) required(causes, "spec.schedule");
    validate_pod_spec(cron.get({"spec", "jobTemplate", "spec", "template", "spec"}),
                      "spec.jobTemplate.spec.template.spec", causes);
  };
  return hooks;
}

}  // namespace redoubt::apiserver
