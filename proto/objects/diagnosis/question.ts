import { z } from 'zod';

const MAX_NETWORKS = 100_000;

const id = z.string().min(1).max(128);
const address = z.string().min(1).max(64);

/** What the leader may ask a node. Questions change nothing but for the probes of a trace, which send some packets. */
export const questionSchema = z.discriminatedUnion('kind', [
  /** Everything that `network check` compares; of these networks, and of others that the node has when `all` is set. */
  z.object({
    kind: z.literal('survey'),
    nodeId: id,
    networks: z.array(id).max(MAX_NETWORKS),
    all: z.boolean(),
  }),
  /** The records of these owners as the node has them. */
  z.object({
    kind: z.literal('records'),
    of: z.array(z.object({ networkId: id, owner: id })).max(MAX_NETWORKS),
  }),
  /** The node's endpoints with their containers, to find out who is meant. */
  z.object({ kind: z.literal('endpoints') }),
  /** How things stand between an endpoint of this node and an address. */
  z.object({ kind: z.literal('path'), networkId: id, endpointId: id, peer: address }),
  /** Begins to look out for packets that bear the marker; answered when it looks. */
  z.object({ kind: z.literal('watch'), networkId: id, marker: z.string().regex(/^[0-9a-f]{16}$/) }),
  /** Ends the look-out and tells what was seen. */
  z.object({ kind: z.literal('sightings'), marker: z.string().regex(/^[0-9a-f]{16}$/) }),
  /** Sends marked echo requests from an endpoint of this node to an address of its network. */
  z.object({
    kind: z.literal('probe'),
    networkId: id,
    endpointId: id,
    address,
    marker: z.string().regex(/^[0-9a-f]{16}$/),
    /** Bytes of the whole IP packet. */
    size: z.number().int().min(64).max(65_535),
  }),
  /** Sends echo requests from the host itself to another VTEP. */
  z.object({
    kind: z.literal('underlay'),
    address,
    size: z.number().int().min(64).max(65_535),
  }),
]);

export type Question = z.infer<typeof questionSchema>;
export type QuestionOf<K extends Question['kind']> = Extract<Question, { kind: K }>;
