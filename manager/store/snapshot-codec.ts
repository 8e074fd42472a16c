import { InvariantError } from '../../proto/runtime/assert.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { deepFreeze } from './proposal-codec.ts';
import { emptyTables, type TableRows, type TableSet } from './table-rows.ts';
import { TABLE_NAMES, type TableName, type Tables } from './tables.ts';

const CHUNK_BYTES = 64 * 1024;
const FORMAT = 1;
const TABLES: ReadonlySet<unknown> = new Set(TABLE_NAMES);

export interface SnapshotContent {
  tables: TableSet;
  /** Requests and what each created, oldest first. */
  made: [string, string][];
}

/**
 * A snapshot is lines of JSON in UTF-8: `{"format":1}`, one `["table",object]` per row, `{"made":[[request,id]…]}`,
 * `{"rows":N}`. The last line proves that it is whole. Chunks are about 64 KiB and may be cut anew anywhere on their way.
 */
export function encodeSnapshot(tables: TableSet, made: [string, string][] = []): Iterable<Uint8Array> {
  const rows = TABLE_NAMES.map((table) => [table, [...tables[table].values()]] as const);
  return { [Symbol.iterator]: () => chunks(lines(rows, made)) };
}

/** @throws InvariantError when the snapshot is damaged, cut short, or of another format. */
export function decodeSnapshot(data: Iterable<Uint8Array>): SnapshotContent {
  const decoder = new SnapshotDecoder();
  for (const chunk of data) decoder.write(chunk);
  return decoder.finish();
}

/** Reads a snapshot as it comes. Every method throws an InvariantError when it is damaged, cut short, or of another format. */
export class SnapshotDecoder {
  readonly #text = new TextDecoder('utf-8', { fatal: true });
  readonly #tables = emptyTables();
  readonly #made: [string, string][] = [];
  /** Of a line whose end has not come yet. */
  #rest = '';
  #rows = 0;
  #state: 'header' | 'rows' | 'end' = 'header';

  write(chunk: Uint8Array): void {
    const lines = (this.#rest + decode(this.#text, chunk)).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) this.#line(parse(line));
  }

  finish(): SnapshotContent {
    if (this.#rest !== '' || decode(this.#text) !== '' || this.#state !== 'end') {
      throw new InvariantError('snapshot is cut short');
    }
    return { tables: this.#tables, made: this.#made };
  }

  #line(value: unknown): void {
    if (this.#state === 'header') {
      if (!isNumbered(value, 'format', FORMAT)) {
        throw new InvariantError(
          `snapshot has an unknown format, this version reads ${FORMAT}: was it made by a newer one?`,
        );
      }
      this.#state = 'rows';
    } else if (this.#state === 'rows' && Array.isArray(value)) {
      addRow(this.#tables, value);
      this.#rows++;
    } else if (this.#state === 'rows' && isMade(value)) {
      this.#made.push(...value.made);
    } else if (this.#state === 'rows' && isNumbered(value, 'rows', this.#rows)) {
      this.#state = 'end';
    } else {
      throw new InvariantError('snapshot is damaged');
    }
  }
}

function* lines(
  tables: readonly (readonly [TableName, readonly object[]])[],
  made: readonly [string, string][],
): Generator<string> {
  let count = 0;
  yield JSON.stringify({ format: FORMAT });
  for (const [table, rows] of tables) {
    for (const row of rows) {
      count++;
      yield JSON.stringify([table, row]);
    }
  }
  if (made.length > 0) yield JSON.stringify({ made });
  yield JSON.stringify({ rows: count });
}

function* chunks(all: Iterable<string>): Generator<Uint8Array> {
  let pending = '';
  for (const line of all) {
    pending += `${line}\n`;
    if (pending.length < CHUNK_BYTES) continue;
    yield Buffer.from(pending);
    pending = '';
  }
  if (pending !== '') yield Buffer.from(pending);
}

function decode(decoder: InstanceType<typeof TextDecoder>, chunk?: Uint8Array): string {
  try {
    return chunk === undefined ? decoder.decode() : decoder.decode(chunk, { stream: true });
  } catch (error) {
    throw new InvariantError(`snapshot is not UTF-8: ${messageOf(error)}`);
  }
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new InvariantError(`snapshot is not JSON: ${messageOf(error)}`);
  }
}

function addRow(tables: TableSet, entry: readonly unknown[]): void {
  const [table, row] = entry;
  if (!TABLES.has(table) || !isRow(row)) throw new InvariantError('snapshot has an unknown row');
  (tables[table as TableName] as unknown as TableRows<TableName>).set(deepFreeze(row));
}

function isRow(value: unknown): value is Tables[TableName] {
  if (typeof value !== 'object' || value === null) return false;
  const { ID, Version } = value as { ID?: unknown; Version?: { Index?: unknown } };
  return typeof ID === 'string' && Number.isSafeInteger(Version?.Index);
}

function isNumbered(value: unknown, field: string, wanted: number): boolean {
  return typeof value === 'object' && value !== null && (value as Record<string, unknown>)[field] === wanted;
}

function isMade(value: unknown): value is { made: [string, string][] } {
  if (typeof value !== 'object' || value === null || !('made' in value) || !Array.isArray(value.made)) return false;
  return value.made.every(
    (entry: unknown) => Array.isArray(entry) && entry.length === 2 && entry.every((part) => typeof part === 'string'),
  );
}
