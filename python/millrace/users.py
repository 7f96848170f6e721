"""Giving up root: serving as another user than the one who may listen on port 80."""

from __future__ import annotations

import grp
import os
import pwd
from dataclasses import dataclass

__all__ = ["Identity", "become", "check_may_become", "find_identity"]


@dataclass(frozen=True)
class Identity:
    """Whom a process becomes."""

    user: int
    group: int
    groups: tuple[int, ...]  # all of them, the first included


def find_identity(user: str | None, group: str | None) -> Identity:
    """Return whom ``--user`` and ``--group`` mean, each a name or a number.

    Without a group it is the user's own, with those that the group database adds; a group that is
    named stands in place of the first. Without a user it stays the present one.

    Raises
    ------
    ValueError
        There is no such user or group, or a number without an entry has no group to go with.
    """
    entry = None if user is None else _user_entry(user)
    uid = os.geteuid() if user is None else entry.pw_uid if entry else int(user)
    if group is not None:
        gid = _group_id(group)
    elif entry is not None:
        gid = entry.pw_gid
    else:
        raise ValueError(f"--user {user}: no such user is known here, so name its --group as well")
    more = os.getgrouplist(entry.pw_name, gid) if entry else [gid]
    return Identity(uid, gid, tuple(dict.fromkeys([gid, *more])))


def check_may_become(identity: Identity) -> None:
    """Raise PermissionError unless this process is root, or that user already."""
    if os.geteuid() != 0 and (identity.user, identity.group) != (os.geteuid(), os.getegid()):
        raise PermissionError(
            "--user and --group need root: start as root, or leave them out and let the service "
            "manager choose the user"
        )


def become(identity: Identity) -> None:
    """Give up the present user and groups for good. Before the process has other threads.

    Raises
    ------
    PermissionError
        Only root may.
    """
    check_may_become(identity)
    if os.geteuid() != 0:
        return
    # In this order: without root nothing could be changed any more.
    os.setgroups(identity.groups)
    os.setresgid(identity.group, identity.group, identity.group)
    os.setresuid(identity.user, identity.user, identity.user)


def _user_entry(user: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwuid(int(user)) if user.isdecimal() else pwd.getpwnam(user)
    except KeyError:
        if user.isdecimal():
            return None
        raise ValueError(f"--user {user}: there is no such user here") from None


def _group_id(group: str) -> int:
    if group.isdecimal():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ValueError(f"--group {group}: there is no such group here") from None
