import type { EndpointRecord, LocatedRecord } from '../endpoint-table.ts';
import type { OwnerView } from './owner-view.ts';

/** served: lives. suspended: may come back. foreign: no member. left: will not come back with what it had. */
export type OwnerStanding = 'served' | 'suspended' | 'foreign' | 'left';

/** The records of all owners of one network as they are to be read: made when they are asked for, kept until they change. */
export class RecordLists {
  readonly #views: ReadonlyMap<string, OwnerView>;
  readonly #standing: (owner: string) => OwnerStanding;
  #served: readonly EndpointRecord[] | undefined;
  #located: readonly LocatedRecord[] | undefined;

  constructor(views: ReadonlyMap<string, OwnerView>, standing: (owner: string) => OwnerStanding) {
    this.#views = views;
    this.#standing = standing;
  }

  /** Of owners that live. */
  served(): readonly EndpointRecord[] {
    this.#served ??= this.#of('served');
    return this.#served;
  }

  /** Those, and the records of owners that may come back. */
  located(): readonly LocatedRecord[] {
    this.#located ??= [
      ...this.served().map((record) => ({ ...record, silent: false })),
      ...this.#of('suspended').map((record) => ({ ...record, silent: true })),
    ];
    return this.#located;
  }

  /** Something has changed. */
  forget(): void {
    this.#served = undefined;
    this.#located = undefined;
  }

  #of(standing: OwnerStanding): EndpointRecord[] {
    const records: EndpointRecord[] = [];
    for (const view of this.#views.values()) {
      if (this.#standing(view.owner) !== standing) continue;
      for (const endpoint of view.endpoints()) records.push({ ...endpoint, owner: view.owner });
    }
    return records;
  }
}
