import type { ControlApi, ControlOperation } from '../controlapi/control-api.ts';

/** Every operation of ControlApi; it does not compile when one is missing. */
const OPERATIONS: Readonly<Record<ControlOperation, true>> = {
  getCluster: true,
  updateCluster: true,
  getUnlockKey: true,
  getJoinTokens: true,
  listNodes: true,
  getNode: true,
  updateNode: true,
  removeNode: true,
  listServices: true,
  getService: true,
  createService: true,
  updateService: true,
  removeService: true,
  listTasks: true,
  getTask: true,
  listNetworks: true,
  getNetwork: true,
  createNetwork: true,
  removeNetwork: true,
  getNetworkCheck: true,
  getNetworkTrace: true,
  listSecrets: true,
  getSecret: true,
  createSecret: true,
  updateSecret: true,
  removeSecret: true,
  listConfigs: true,
  getConfig: true,
  createConfig: true,
  updateConfig: true,
  removeConfig: true,
};

/** Names of all operations that managers ask each other for. */
export const CONTROL_OPERATIONS = Object.keys(OPERATIONS) as readonly ControlOperation[];

/** Whether a peer's word is the name of an operation. */
export function isControlOperation(name: string): name is ControlOperation {
  return Object.hasOwn(OPERATIONS, name);
}

/** True for what changes nothing, and may be asked again at will. */
export function isRead(operation: ControlOperation): boolean {
  return /^(get|list)/.test(operation);
}

/** Methods of a class instance as plain properties, so that one can be replaced. */
export function bindAll(control: ControlApi): ControlApi {
  const bound = CONTROL_OPERATIONS.map((operation) => [operation, control[operation].bind(control)]);
  return Object.fromEntries(bound) as ControlApi;
}
