//! The fields of INFO that Redis or Valkey has and that are knowingly left out here.

/// Fields of INFO that are left out for one reason.
#[derive(Clone, Copy, Debug)]
pub struct AbsentFields {
    /// Their names; one that ends with `*` stands for all that begin so.
    pub names: &'static [&'static str],
    /// Why they are left out.
    pub why: &'static str,
}

impl AbsentFields {
    /// Whether the field is one of them.
    pub fn contains(&self, field: &str) -> bool {
        self.names.iter().any(|name| match name.strip_suffix('*') {
            Some(beginning) => field.starts_with(beginning),
            None => *name == field,
        })
    }
}

/// The fields of INFO that Redis 8.0 or Valkey 9.1 has and that are left out here.
pub fn absent_fields() -> &'static [AbsentFields] {
    ABSENT
}

const ABSENT: &[AbsentFields] = &[
    AbsentFields {
        names: &["atomicvar_api", "gcc_version", "redis_build_id"],
        why: "Larder is not built from C, and a build has no number of its own.",
    },
    AbsentFields {
        names: &["server_mode", "server_name", "valkey_*"],
        why: "Clients that find them take the server for Valkey.",
    },
    AbsentFields {
        names: &["availability_zone", "clients_hz"],
        why: "There is no such parameter.",
    },
    AbsentFields {
        names: &["allocator_*", "mem_allocator", "rss_overhead_*"],
        why: "The engine keeps an exact account of what it holds, and does not ask the allocator of its \
              process; `mem_fragmentation_ratio` puts that account beside `used_memory_rss`.",
    },
    AbsentFields {
        names: &["used_memory_lua*", "used_memory_vm_*"],
        why: "Each thread has machines for scripts, which are made when they are needed; their memory is \
              bounded (`lua-memory-limit`), and only that of the texts is counted.",
    },
    AbsentFields {
        names: &["mem_overhead_db_hashtable_rehashing"],
        why: "A table that grows is part of `used_memory` with both its sizes, and not told apart.",
    },
    AbsentFields {
        names: &["reply_buffer_expands", "reply_buffer_shrinks"],
        why: "Answers are written into chunks that do not change their size.",
    },
    AbsentFields {
        names: &[
            "eventloop_*",
            "instantaneous_eventloop_*",
            "used_active_time_main_thread",
            "used_cpu_sys_main_thread",
            "used_cpu_user_main_thread",
        ],
        why: "There is no main thread: each thread serves connections.",
    },
    AbsentFields {
        names: &[
            "io_thread_*",
            "io_threaded_accept_processed",
            "io_threaded_freed_objects",
            "io_threaded_poll_processed",
            "io_threaded_total_prefetch_*",
        ],
        why: "No thread does only a part of the work: each reads, runs and writes for its connections.",
    },
    AbsentFields {
        names: &[
            "mem_cluster_slot_*",
            "mem_replica_full_sync_buffer",
            "mem_replicas_repl_buffer",
            "replicas_waiting_psync",
            "slot_migration_fork_in_progress",
            "total_net_cluster_slot_*",
        ],
        why: "Nothing is replicated, and no slot is moved.",
    },
    AbsentFields {
        names: &["acl_access_denied_db", "acl_access_denied_tls_cert"],
        why: "Users have rights neither by database nor by certificate.",
    },
    AbsentFields {
        names: &["expired_keys_with_volatile_items_stale_perc"],
        why: "Each tick removes all fields that have expired.",
    },
    AbsentFields {
        names: &["tls_*"],
        why: "What a certificate says can be asked of it by `openssl s_client`.",
    },
    AbsentFields {
        names: &["engine_*", "engines_*", "module"],
        why: "There are no modules; scripts are run by the server itself.",
    },
    AbsentFields {
        names: &["db0_distrib_*"],
        why: "How large keys are is not kept by their types: that would be work for each change.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_absent_by_its_name_or_by_its_beginning() {
        let of_allocator = AbsentFields {
            names: &["allocator_*", "mem_allocator"],
            why: "",
        };
        for (field, is_absent) in [
            ("allocator_active", true),
            ("mem_allocator", true),
            ("mem_allocators", false),
            ("used_memory", false),
        ] {
            assert_eq!(of_allocator.contains(field), is_absent, "{field}");
        }
    }
}
