import type { ConfigObject, ConfigSpec, SecretObject, SecretSpec } from '../../proto/objects/secret.ts';
import type { NewObject, WriteTx } from '../store/transaction.ts';
import type { Filters } from './control-api.ts';
import type { ControlModules } from './control-modules.ts';
import { assertFilterKeys, filterValues, matchesExactly, matchesLabels, matchesPrefix, select } from './filters.ts';
import { resolve } from './resolve.ts';
import { outOfSequence, swarmError } from './swarm-error.ts';

/** What secrets and configs have in common: data under a name that never changes, only its labels do. */
type DataTable = 'secrets' | 'configs';
interface DataRows {
  secrets: SecretObject;
  configs: ConfigObject;
}

export function listData<T extends DataTable>(
  { store }: ControlModules,
  table: T,
  filters: Filters,
  accepted: readonly string[],
): DataRows[T][] {
  assertFilterKeys(filters, accepted);
  return store.view((tx) =>
    select(tx.all(table) as Iterable<DataRows[T]>, [
      (row) => matchesPrefix(row.ID, filterValues(filters, 'id')),
      (row) => matchesPrefix(row.Spec.Name, filterValues(filters, 'name')),
      (row) => matchesExactly(row.Spec.Name, filterValues(filters, 'names')),
      (row) => matchesLabels(row.Spec.Labels, filterValues(filters, 'label')),
    ]),
  );
}

/** @throws WaggleError already-exists `secret db already exists`. */
export async function createData(
  { store, newId }: ControlModules,
  table: DataTable,
  spec: SecretSpec | ConfigSpec,
): Promise<{ ID: string }> {
  const id = newId();
  await store.update((tx) => {
    if (tx.find(table, 'name', spec.Name).length > 0) {
      throw swarmError('already-exists', `${nounOf(table)} ${spec.Name} already exists`);
    }
    tx.create(table, { ID: id, Spec: spec } as NewObject<DataTable>);
  });
  return { ID: id };
}

/** Takes over the labels; a spec without data says nothing about the data. */
export async function updateDataLabels(
  { store }: ControlModules,
  table: DataTable,
  args: { ref: string; version: number; spec: SecretSpec | ConfigSpec },
): Promise<Record<string, never>> {
  await store.update((tx) => {
    const row: SecretObject | ConfigObject = resolve(tx, table, args.ref);
    const sameData = args.spec.Data === undefined || args.spec.Data === null || args.spec.Data === row.Spec.Data;
    if (args.spec.Name !== row.Spec.Name || !sameData) {
      throw swarmError('invalid-argument', 'only updates to Labels are allowed');
    }
    if (row.Version.Index !== args.version) throw outOfSequence();
    tx.update(table, { ...row, Spec: { ...row.Spec, Labels: args.spec.Labels ?? {} } });
  });
  return {};
}

/** @throws WaggleError invalid-argument `secret 'db' is in use by the following service: web`. */
export async function removeData(
  { store }: ControlModules,
  table: DataTable,
  ref: string,
): Promise<Record<string, never>> {
  await store.update((tx) => {
    const row: SecretObject | ConfigObject = resolve(tx, table, ref);
    const users = usersOf(tx, table, row.ID);
    if (users.length > 0) {
      const services = users.length === 1 ? 'service' : 'services';
      throw swarmError(
        'invalid-argument',
        `${nounOf(table)} '${row.Spec.Name}' is in use by the following ${services}: ${users.join(', ')}`,
      );
    }
    tx.remove(table, row.ID);
  });
  return {};
}

function usersOf(tx: WriteTx, table: DataTable, id: string): string[] {
  const index = table === 'secrets' ? 'secret' : 'config';
  const names = tx.pinFound('services', index, id).map((service) => service.Spec.Name);
  return [...new Set(names)].toSorted();
}

function nounOf(table: DataTable): string {
  return table.slice(0, -1);
}
