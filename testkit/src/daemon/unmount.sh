# Takes the file system at $1 away as soon as the owner is gone, or says so.
trap '' HUP INT TERM
read -r word
umount -l "$1"
rmdir "$1"
