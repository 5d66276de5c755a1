//! The mount API by descriptor (open_tree(2), move_mount(2), fsopen(2), mount_setattr(2)).
