import { changeConfiguration, decodeChange } from './configuration.ts';
import type { Configuration, LogEntry } from './entry.ts';

/**
 * The membership as the log has it. A member goes by the latest configuration in its log whether or not that is
 * committed (thesis 4.1); when the entry is replaced by another leader's, the one before counts again. So whoever holds a
 * change needs nobody who was removed by it.
 */
export class ConfigurationHistory {
  /** Ascending; the first one is that of a snapshot, or empty. */
  #versions: { index: number; configuration: Configuration }[];

  constructor(index: number, configuration: Configuration) {
    this.#versions = [{ index, configuration }];
  }

  get latest(): Configuration {
    return this.#versions.at(-1)?.configuration as Configuration;
  }

  /** Index of the entry, or of the snapshot, that the latest one is from. */
  get latestIndex(): number {
    return this.#versions.at(-1)?.index as number;
  }

  /** As of an index that is not before the first version. */
  at(index: number): Configuration {
    const version = this.#versions.findLast((each) => each.index <= index) ?? this.#versions[0];
    return version?.configuration as Configuration;
  }

  /** @throws ConfigurationError for a change that no leader would have proposed. */
  append(entry: LogEntry): void {
    if (entry.type !== 'conf-change') return;
    const configuration = changeConfiguration(this.latest, decodeChange(entry.data));
    this.#versions.push({ index: entry.index, configuration });
  }

  truncateFrom(index: number): void {
    this.#versions = this.#versions.filter((each, at) => at === 0 || each.index < index);
  }

  /** Forgets the versions that were replaced at or before `index`. */
  compact(index: number): void {
    const first = this.#versions.findLastIndex((each) => each.index <= index);
    if (first > 0) this.#versions = this.#versions.slice(first);
  }
}
