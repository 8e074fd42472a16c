import { InvariantError } from '../../proto/runtime/assert.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { deepFreeze } from './proposal-codec.ts';
import { emptyTables, type TableRows, type TableSet } from './table-rows.ts';
import { TABLE_NAMES, type TableName, type Tables } from './tables.ts';

const CHUNK_BYTES = 64 * 1024;
const FORMAT = 1;
const TABLES: ReadonlySet<unknown> = new Set(TABLE_NAMES);

/**
 * A snapshot is lines of JSON in UTF-8: `{"format":1}`, one `["table",object]` per row, `{"rows":N}`. The last line
 * proves that it is whole. Chunks are about 64 KiB and may be cut anew anywhere on their way.
 */
export function encodeSnapshot(tables: TableSet): Iterable<Uint8Array> {
  const rows = TABLE_NAMES.map((table) => [table, [...tables[table].values()]] as const);
  return { [Symbol.iterator]: () => chunks(lines(rows)) };
}

/** @throws InvariantError when the snapshot is damaged, cut short, or of another format. */
export function decodeSnapshot(data: Iterable<Uint8Array>): TableSet {
  const tables = emptyTables();
  let rows = 0;
  let state: 'header' | 'rows' | 'end' = 'header';
  for (const line of textLines(data)) {
    const value = parse(line);
    if (state === 'header') {
      if (!isNumbered(value, 'format', FORMAT)) throw new InvariantError('snapshot has an unknown format');
      state = 'rows';
    } else if (state === 'rows' && Array.isArray(value)) {
      addRow(tables, value);
      rows++;
    } else if (state === 'rows' && isNumbered(value, 'rows', rows)) {
      state = 'end';
    } else {
      throw new InvariantError('snapshot is damaged');
    }
  }
  if (state !== 'end') throw new InvariantError('snapshot is cut short');
  return tables;
}

function* lines(tables: readonly (readonly [TableName, readonly object[]])[]): Generator<string> {
  let count = 0;
  yield JSON.stringify({ format: FORMAT });
  for (const [table, rows] of tables) {
    for (const row of rows) {
      count++;
      yield JSON.stringify([table, row]);
    }
  }
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

function* textLines(data: Iterable<Uint8Array>): Generator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  for (const chunk of data) {
    const parts = (rest + decode(decoder, chunk)).split('\n');
    rest = parts.pop() ?? '';
    yield* parts;
  }
  if (rest !== '' || decode(decoder) !== '') throw new InvariantError('snapshot is cut short');
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
