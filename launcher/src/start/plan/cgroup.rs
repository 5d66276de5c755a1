//! Where a container's cgroups are made.

/// A cgroup below the delegated one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupWay {
    /// File, line and key, for errors.
    pub at: String,
    /// The names on the way there.
    pub names: Vec<String>,
}

/// Where a container's cgroups are made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgroupPlan {
    /// Its own and its monitor's.
    pub places: CgroupPlaces,
    /// The one in which its monitor ends (`lxc.cgroup.dir.monitor.pivot`).
    pub pivot: Option<CgroupWay>,
}

/// The cgroups of container and monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CgroupPlaces {
    /// Both in one that bears the container's name: right below the delegated one, or where
    /// `lxc.cgroup.dir` leads.
    Together(Option<CgroupWay>),
    /// Each in its own.
    Apart(ApartPlan),
}

/// `lxc.cgroup.dir.container`, `….container.inner` and `….monitor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApartPlan {
    /// What has the limits.
    pub container: CgroupWay,
    /// Where the container's processes are, below that; `None`: right there.
    pub inner: Option<CgroupWay>,
    /// Where the monitor is.
    pub monitor: CgroupWay,
}

impl CgroupPlan {
    /// File, line and key of what cannot be had without a cgroup.
    pub fn at(&self) -> Option<&str> {
        let way = match &self.places {
            CgroupPlaces::Together(below) => below.as_ref(),
            CgroupPlaces::Apart(apart) => Some(&apart.container),
        };
        way.or(self.pivot.as_ref()).map(|way| way.at.as_str())
    }
}
