import { z } from 'zod';
import { CLUSTER_SHAPE } from '../../proto/objects/spec-shape.ts';

const text = z.string().optional();
const texts = z.array(z.string()).optional();
const flag = z.boolean().optional();
const whole = z.int().optional();
const entry = { ListenAddr: text, AdvertiseAddr: text, DataPathAddr: text, Availability: text };

/** Bodies of `POST /swarm/init`, `/swarm/join` and `/swarm/unlock`. */
export const INIT_SHAPE = z.looseObject({
  ...entry,
  DataPathPort: whole,
  DefaultAddrPool: texts,
  SubnetSize: whole,
  ForceNewCluster: flag,
  AutoLockManagers: flag,
  Spec: CLUSTER_SHAPE.optional(),
});
export const JOIN_SHAPE = z.looseObject({ ...entry, RemoteAddrs: texts, JoinToken: text });
export const UNLOCK_SHAPE = z.looseObject({ UnlockKey: text });

/** Of a body of `POST /networks/create`, what decides who answers it. */
export const NETWORK_REQUEST_SHAPE = z.looseObject({
  Name: text,
  CheckDuplicate: flag,
  Driver: text,
  Scope: text,
  EnableIPv6: flag,
  Internal: flag,
  Attachable: flag,
  Ingress: flag,
  ConfigOnly: flag,
});
