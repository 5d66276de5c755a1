//! The time of day where the host is.

use std::io;

/// A moment by the host's clock and time zone, as people there write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// The year, as 2026.
    pub year: i64,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 60.
    pub second: u32,
}

/// Seconds since 1970 in the time zone of the host, or that of `TZ` (localtime_r(3)).
pub fn local_time(seconds: i64) -> io::Result<LocalTime> {
    // 32 bits wide on old architectures.
    #[allow(clippy::useless_conversion)]
    let time: libc::time_t = seconds
        .try_into()
        .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    // SAFETY: a `tm` of zeros is one; both pointers are valid for the call.
    let broken_down = unsafe {
        let mut broken_down: libc::tm = std::mem::zeroed();
        match libc::localtime_r(&time, &mut broken_down).is_null() {
            true => None,
            false => Some(broken_down),
        }
    };
    let tm = broken_down.ok_or_else(io::Error::last_os_error)?;
    let field = |value: libc::c_int| u32::try_from(value).unwrap_or(0);
    Ok(LocalTime {
        year: i64::from(tm.tm_year) + 1900,
        month: field(tm.tm_mon) + 1,
        day: field(tm.tm_mday),
        hour: field(tm.tm_hour),
        minute: field(tm.tm_min),
        second: field(tm.tm_sec),
    })
}
