import { z } from 'zod';
import { type Difference, differenceSchema } from './difference.ts';

/** An endpoint of the node that answers. */
export interface SurveyedEndpoint {
  endpointId: string;
  networkId: string;
  /** IPv4 without prefix length. */
  address: string;
  /** IPv6 without prefix length, on a network that has IPv6. */
  address6?: string;
  mac: string;
  state: 'created' | 'joined' | 'left';
  /** Of its container; empty while it is not known. */
  containerId: string;
  name: string;
  running: boolean;
}

/** A record of the endpoint table, without what can be told from where it stands. */
export interface SurveyedRecord {
  endpointId: string;
  address: string;
  address6?: string;
  mac: string;
  vtep: string;
  vni: number;
  /** Names and whatever else a record has, as JSON. */
  rest: string;
}

/** What a node has of the records of one owner. Equal digests mean equal records. */
export interface RecordDigest {
  owner: string;
  count: number;
  digest: string;
}

export interface SurveyedNetwork {
  networkId: string;
  /** Version of the network's object that the node works with; absent when it has none. */
  version?: number;
  digests: RecordDigest[];
  /** The records that the node itself has published. */
  records: SurveyedRecord[];
  /** The kernel against what this node wants of it. At most 200; `more` says how many were left out. */
  differences: Difference[];
  more: number;
  /** False while the node was changing the network: `differences` may be of the moment. */
  settled: boolean;
  /** Repairs of the audit by kind, since the daemon started. */
  repairs: Record<string, number>;
}

/** One node's answer to `survey`. */
export interface NodeSurvey {
  vtep: string;
  /** The endpoint table has been exchanged with a peer since the daemon started. */
  synced: boolean;
  endpoints: SurveyedEndpoint[];
  /** Addresses leased to the node, with or without an endpoint. */
  leases: { networkId: string; address: string }[];
  networks: SurveyedNetwork[];
  /** Of the host: namespaces and links that belong to no network. */
  differences: Difference[];
  /** Repairs of the host itself, as those of a network. */
  repairs: Record<string, number>;
}

/** One node's answer to `records`, in the order of the question. */
export interface RecordsAnswer {
  records: SurveyedRecord[][];
}

export interface EndpointsAnswer {
  vtep: string;
  endpoints: SurveyedEndpoint[];
}

const MAX_ROWS = 200_000;
const id = z.string().max(128);
const address = z.string().max(64);

const recordSchema = z.object({
  endpointId: id,
  address,
  address6: address.exactOptional(),
  mac: address,
  vtep: address,
  vni: z.number(),
  rest: z.string().max(20_000),
});

const endpointSchema = z.object({
  endpointId: id,
  networkId: id,
  address,
  address6: address.exactOptional(),
  mac: address,
  state: z.enum(['created', 'joined', 'left']),
  containerId: id,
  name: z.string().max(300),
  running: z.boolean(),
});

const networkSchema = z.object({
  networkId: id,
  version: z.number().optional(),
  digests: z.array(z.object({ owner: id, count: z.number(), digest: id })).max(MAX_ROWS),
  records: z.array(recordSchema).max(MAX_ROWS),
  differences: z.array(differenceSchema).max(1000),
  more: z.number(),
  settled: z.boolean(),
  repairs: z.record(z.string().max(100), z.number()),
});

/** Answers come from other hosts: whatever does not have this shape is refused. */
export const surveySchema = z.object({
  vtep: address,
  synced: z.boolean(),
  endpoints: z.array(endpointSchema).max(MAX_ROWS),
  leases: z.array(z.object({ networkId: id, address })).max(MAX_ROWS),
  networks: z.array(networkSchema).max(MAX_ROWS),
  differences: z.array(differenceSchema).max(1000),
  repairs: z.record(z.string().max(100), z.number()),
});

export const recordsAnswerSchema = z.object({ records: z.array(z.array(recordSchema).max(MAX_ROWS)).max(MAX_ROWS) });

export const endpointsAnswerSchema = z.object({ vtep: address, endpoints: z.array(endpointSchema).max(MAX_ROWS) });
