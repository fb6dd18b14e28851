"""``config.include('ptah_migrate')`` and its four directives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ptah_migrate._pyramid import startup
from ptah_migrate._pyramid.state import MODES, of
from ptah_migrate.errors import RegistrationConflictError, RegistrationError
from ptah_migrate.model import Origin, Package, PopulateStep, Source
from ptah_migrate.registry import make_package

# After everything else: an application's own actions use small orders.
LATE = 1_000_000


def includeme(config: Any) -> None:
    """Add the directives, and the subscriber that ends the start-up."""
    from pyramid.events import ApplicationCreated

    config.add_directive("register_migration", register_migration)
    config.add_directive("ptah_migrate", ptah_migrate)
    config.add_directive("ptah_populate", ptah_populate)
    config.add_directive("ptah_populate_step", ptah_populate_step)
    if not of(config.registry).included:
        of(config.registry).included = True
        # At once, not at commit: other packages' subscribers then come after
        # it, and find their tables.
        config.registry.registerHandler(startup.at_created, (ApplicationCreated,))


def register_migration(
    config: Any, package: str, path: str | Sequence[str], title: str = "", **options: Any
) -> None:
    """
    Register a package's migrations with the application.

    Takes effect at commit; two registrations of one package from two places
    conflict, an application's overrides an included one's. ``options`` are
    those of ``ptah_migrate.registry.make_package``.

    Raises:
        RegistrationError: a name, a path or an option is impossible.
        RegistrationConflictError: another add-on registered it before a commit.

    """
    info = config.action_info
    source = Source.PLUGIN if config.includepath else Source.APPLICATION
    origin = Origin(source, str(info.file or ""), int(info.line or 0))
    try:
        found = make_package(package, _specs(config, path), title, origin=origin, **options)
    except TypeError as error:
        raise RegistrationError(f"package '{package}': {error}") from error
    discriminator = ("ptah_migrate", found.name)
    if _overridden(config, found) or not _first_time(config, discriminator, found.paths):
        return

    def register() -> None:
        of(config.registry).packages[found.name] = found

    shown = config.introspectable("database migrations", found.name, found.name, "migration")
    shown.update(title=found.title, paths=found.paths, force=found.force, fresh=found.fresh)
    config.action(discriminator, register, introspectables=(shown,))


def ptah_migrate(
    config: Any, mode: str | None = None, *, global_config: Mapping[str, Any] | None = None
) -> None:
    """
    Bring the database up to date, or look at it, when the application starts.

    Args:
        config: the Configurator.
        mode: ``upgrade`` (the default), ``check`` (refuse to start when
            something is pending), ``warn``, or ``off``. Without it the
            environment's PTAH_MIGRATE_ON_START and the setting
            ``ptah_migrate.on_start`` decide.
        global_config: what ``main()`` got; tells which tool loads the application.

    May be called several times: of the modes said, the application's counts
    more than an included package's, the first more than a later one. Only
    servers upgrade: p-scripts and ``paster.bootstrap`` leave the database alone.

    It happens when the configuration is committed. What goes wrong comes out of
    ``make_wsgi_app()`` as our own error; out of a ``config.commit()`` in the
    application's code inside Pyramid's ConfigurationExecutionError.

    Raises:
        RegistrationError: the mode is not known.

    """
    if mode is not None and mode not in MODES:
        raise RegistrationError(f"'{mode}' is no start-up mode", hint=f"one of {', '.join(MODES)}")
    state = of(config.registry)
    state.asked = True
    if mode is not None and len(config.includepath) < state.depth:
        state.mode, state.depth = mode, len(config.includepath)
    if global_config is not None:
        state.script = global_config.get("__script__") or state.script
    config.action(None, startup.at_commit, (config.registry,), order=LATE)


def ptah_populate(config: Any) -> None:
    """Run the active populate steps once when the application starts, before an upgrade."""
    of(config.registry).populate = True
    config.action(None, startup.at_commit, (config.registry,), order=LATE)


def ptah_populate_step(
    config: Any,
    name: str,
    factory: Callable[[Any], Any] | None = None,
    title: str = "",
    active: bool = True,  # noqa: FBT001, FBT002 - the signature of 2012
    requires: Sequence[str] = (),
) -> None:
    """
    Register a populate step; two of one name conflict at commit.

    ``factory`` is called with the application's registry, after the steps that
    ``requires`` names.

    Raises:
        RegistrationError: there is no factory to call.

    """
    resolved = config.maybe_dotted(factory)
    if not callable(resolved):
        raise RegistrationError(f"populate step '{name}' has no factory to call")
    wanted = (requires,) if isinstance(requires, str) else tuple(requires)
    step = PopulateStep(name, resolved, title, bool(active), wanted)
    discriminator = ("ptah_migrate.populate", name)
    if not _first_time(config, discriminator, id(resolved)):
        return

    def register() -> None:
        of(config.registry).steps[name] = step

    shown = config.introspectable("populate steps", name, name, "populate step")
    shown.update(title=title, active=step.active, requires=wanted, factory=resolved)
    config.action(discriminator, register, introspectables=(shown,))


def _first_time(config: Any, discriminator: tuple[str, str], what: object) -> bool:
    """Return False for a line that was reached before, by another scan or include."""
    info = config.action_info
    spec = (*discriminator, what, info.file, info.line)
    return bool(config.action_state.processSpec(spec))


def _overridden(config: Any, found: Package) -> bool:
    """
    Return whether an earlier commit settled the package in the application's favour.

    Pyramid compares what is committed together; after a commit it takes
    whatever comes.
    """
    earlier = of(config.registry).packages.get(found.name)
    if earlier is None or found.origin.source is Source.APPLICATION:
        return False
    if earlier.origin.source is Source.APPLICATION:
        return True
    if earlier.paths != found.paths:
        raise RegistrationConflictError(found.name, str(earlier.origin), str(found.origin))
    return False


def _specs(config: Any, path: Any) -> Any:
    """Return asset specs as they are, and relative paths as those of the caller's package."""
    if isinstance(path, list | tuple):
        return [_specs(config, one) for one in path]
    if not isinstance(path, str) or not path or ":" in path or Path(path).is_absolute():
        return path
    return f"{config.package_name}:{path}"
