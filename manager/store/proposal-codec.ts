import { InvariantError } from '../../proto/runtime/assert.ts';
import { messageOf } from '../../proto/runtime/errors.ts';
import { INDEX_KEYS } from './indexes.ts';
import { TABLE_NAMES, type TableName } from './tables.ts';
import type { Proposal, StoreAction } from './transaction.ts';

const TABLES: ReadonlySet<unknown> = new Set(TABLE_NAMES);

/** JSON in UTF-8; absent and undefined fields are the same. */
export function encodeProposal(proposal: Proposal): Uint8Array {
  return Buffer.from(JSON.stringify(proposal));
}

/**
 * The logged proposal, its objects frozen. A manager that cannot read its own log must not go on, or it would
 * hold another state than the others.
 * @throws InvariantError for anything but a well-formed proposal of known tables.
 */
export function decodeProposal(data: Uint8Array): Proposal {
  const value = parse(data);
  if (!isRecord(value) || typeof value['at'] !== 'string' || !Array.isArray(value['actions'])) {
    throw new InvariantError('log entry is not a proposal');
  }
  if (value['request'] !== undefined && typeof value['request'] !== 'string') {
    throw new InvariantError('log entry names its request by no text');
  }
  for (const action of value['actions'])
    if (!isAction(action)) throw new InvariantError('log entry has an unknown action');
  return deepFreeze(value as unknown as Proposal);
}

/** Freezes a value of JSON through and through. */
export function deepFreeze<V>(value: V): V {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  for (const child of Object.values(value)) deepFreeze(child);
  return Object.freeze(value);
}

function parse(data: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(data));
  } catch (error) {
    throw new InvariantError(`log entry is not JSON: ${messageOf(error)}`);
  }
}

function isAction(value: unknown): value is StoreAction {
  if (!isRecord(value) || !isTable(value['table'])) return false;
  switch (value['kind']) {
    case 'create':
      return hasId(value['object']);
    case 'update':
      return hasId(value['object']) && Number.isSafeInteger(value['base']);
    case 'remove':
      return typeof value['id'] === 'string' && Number.isSafeInteger(value['base']);
    case 'expect':
      return typeof value['key'] === 'string' && isTextList(value['ids']) && isIndex(value['table'], value['index']);
    default:
      return false;
  }
}

function isTable(value: unknown): value is TableName {
  return TABLES.has(value);
}

function isIndex(table: unknown, value: unknown): boolean {
  if (value === undefined) return true;
  return isTable(table) && typeof value === 'string' && Object.hasOwn(INDEX_KEYS[table], value);
}

function isTextList(value: unknown): boolean {
  return Array.isArray(value) && value.every((entry) => typeof entry === 'string');
}

function hasId(value: unknown): boolean {
  return isRecord(value) && typeof value['ID'] === 'string' && value['ID'] !== '';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
