import { CommandError } from './command.ts';

/** The `filters` parameter of list calls from `--filter key=value` flags. @throws CommandError for one without `=`. */
export function filtersOf(flags: readonly string[]): string | undefined {
  if (flags.length === 0) return undefined;
  const filters: Record<string, Record<string, boolean>> = {};
  for (const flag of flags) {
    const at = flag.indexOf('=');
    if (at < 0)
      throw new CommandError(
        `invalid argument "${flag}" for "-f, --filter" flag: bad format of filter (expected name=value)`,
        125,
      );
    const key = flag.slice(0, at).trim().toLowerCase();
    filters[key] = { ...filters[key], [flag.slice(at + 1).trim()]: true };
  }
  return JSON.stringify(filters);
}
