import type { NetworkSpec } from './network.ts';
import { isEncrypted } from './tunnel.ts';

/**
 * How a network's packets travel between hosts. `vxlan`: in VXLAN (RFC 7348). `routed`: bare, to the host of the destination, between hosts
 * on one segment; in VXLAN between all others.
 */
export type DataPath = 'vxlan' | 'routed';

/** Driver option of a network: `network create -o waggle.datapath=routed`. */
const DATA_PATH_OPTION = 'waggle.datapath';

const DATA_PATHS: readonly DataPath[] = ['vxlan', 'routed'];

/** @returns vxlan when the options do not say; undefined for a value that there is not. */
export function dataPathOf(options: Readonly<Record<string, string>> | null | undefined): DataPath | undefined {
  const value = options?.[DATA_PATH_OPTION] ?? 'vxlan';
  return DATA_PATHS.find((each) => each === value);
}

/** @returns why the network cannot have the data path that its options ask for; undefined when it can. */
export function dataPathProblem(spec: NetworkSpec): string | undefined {
  const options = spec.DriverConfiguration?.Options;
  const dataPath = dataPathOf(options);
  if (dataPath === undefined) {
    return `invalid option ${DATA_PATH_OPTION}=${options?.[DATA_PATH_OPTION]}: must be one of ${DATA_PATHS.join(', ')}`;
  }
  if (dataPath === 'vxlan') return undefined;
  const option = `option ${DATA_PATH_OPTION}=${dataPath}`;
  if (isEncrypted({ Spec: spec })) {
    return `${option} cannot be combined with option encrypted: routed packets travel in the clear`;
  }
  return undefined;
}
