//! Users and groups by the name service, subordinate ids.
