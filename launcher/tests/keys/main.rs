//! What each key of a configuration does in a container, or how it is refused.
//!
//! The table of keys names these tests. They run on private hosts in namespaces, which takes root.

mod bad_input;
mod bare_hosts;
mod boot;
mod cgroup_dir;
mod devices;
mod files;
mod hooks;
mod hostile;
mod images;
mod include;
mod inits;
mod legacy;
mod lives;
mod logs;
mod namespaces;
mod net;
mod net_ovs;
mod net_phys;
mod net_root;
mod net_scripts;
mod net_user;
mod own_cgroup;
mod own_program;
mod process;
mod running;
mod seccomp;
mod seccomp_kept;
mod seccomp_machines;
mod security;
mod sharing;
mod signals;
mod supervisors;
#[cfg(target_arch = "x86_64")]
mod sweep;
mod terminals;
mod world;
