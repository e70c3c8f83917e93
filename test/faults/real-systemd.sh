#!/usr/bin/env bash
# A systemd as pid 1 of new namespaces, in a cgroup of its own, over a throw-away copy of this
# machine's root (an overlay in memory). real-systemd.sh FOLDER: FOLDER/files is laid over the copy,
# and FOLDER/console is its console. It ends when this process is killed.
set -euo pipefail
folder=$1 root=$1/root
if [ "${2:-}" != inside ]; then
  for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ -e "$hierarchy/cgroup.procs" ] || continue
    mkdir -p "$hierarchy/orchd-test-$$" && echo $$ > "$hierarchy/orchd-test-$$/cgroup.procs"
  done
  exec unshare --mount --uts --ipc --pid --fork --kill-child --cgroup --net \
    bash "$0" "$folder" inside
fi
mount --make-rprivate /
mkdir -p "$folder/memory" "$root"
mount -t tmpfs tmpfs "$folder/memory"
mkdir "$folder/memory/upper" "$folder/memory/work"
memory=$folder/memory
mount -t overlay overlay -o "lowerdir=/,upperdir=$memory/upper,workdir=$memory/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
for path in run dev; do mount -t tmpfs tmpfs "$root/$path"; done
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
ln -s pts/ptmx "$root/dev/ptmx"
for name in null zero full random urandom tty; do
  touch "$root/dev/$name" && mount --bind "/dev/$name" "$root/dev/$name"
done
touch "$root/dev/console" "$folder/console" && mount --bind "$folder/console" "$root/dev/console"
if [ -e /sys/fs/cgroup/cgroup.procs ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mount -t tmpfs tmpfs "$root/sys/fs/cgroup"
  mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
  mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
fi
cp -a "$folder/files/." "$root/"
chown -R 0:0 "$root/etc/orchd" "$root/usr/lib/orchd"
exec < /dev/null
# No chroot: the namespaces of the unit start from the root of this one.
mkdir -p "$root/old" && cd "$root" && pivot_root . old
umount -l /old
# As a machine has it: systemd puts credentials into a unit's folder through this.
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
  /lib/systemd/systemd --system --unit=orchd-test.target
