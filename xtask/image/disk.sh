# Makes a disk image from a base tree and what is installed on top of it. As root, in a mount
# namespace of its own: disk.sh BASE_TREE WORK_DIR DISK INSTALL…
# INSTALL… is a command that gets the merged tree as its last argument.
set -eu
base=$1 work=$2 disk=$3
shift 3

mount -t tmpfs -o mode=0700 tmpfs "$work"
mkdir "$work/upper" "$work/overlay" "$work/tree"
mount -t overlay -o "lowerdir=$base,upperdir=$work/upper,workdir=$work/overlay" overlay "$work/tree"
if [ $# -gt 0 ]; then
    mount -t proc proc "$work/tree/proc"
    "$@" "$work/tree"
    umount "$work/tree/proc"
fi
rm -f "$disk"
truncate --size 4G "$disk"
mke2fs -q -t ext4 -F -L root -d "$work/tree" "$disk"
