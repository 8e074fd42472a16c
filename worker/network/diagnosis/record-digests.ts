import { createHash } from 'node:crypto';
import type { RecordDigest, SurveyedRecord } from '../../../proto/objects/diagnosis/survey.ts';
import type { EndpointRecord } from '../../gossip/endpoint-table.ts';

/** One digest per owner of the records of a network, in order of the owners. Equal records have equal digests on all nodes. */
export function digestRecords(records: readonly EndpointRecord[]): RecordDigest[] {
  const byOwner = Map.groupBy(records, ({ owner }) => owner);
  return [...byOwner]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([owner, owned]) => {
      const lines = owned.map((record) => JSON.stringify(surveyRecord(record))).toSorted();
      const digest = createHash('sha256').update(lines.join('\n')).digest('hex').slice(0, 32);
      return { owner, count: owned.length, digest };
    });
}

/** A record for the manager: the fields that it compares, and all others as one text in a fixed order. */
export function surveyRecord(record: EndpointRecord): SurveyedRecord {
  const { networkId: _, owner: __, endpointId, address, address6, mac, vtep, vni, ...others } = record;
  const fields = Object.entries(others).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const both = address6 === undefined ? { address } : { address, address6 };
  const rest = JSON.stringify(Object.fromEntries(fields));
  return { endpointId, ...both, mac: mac.toLowerCase(), vtep, vni, rest };
}
