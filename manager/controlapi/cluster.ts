import { randomBytes } from 'node:crypto';
import { type ClusterObject, type ClusterSpec, type JoinTokens, withGiven } from '../../proto/objects/cluster.ts';
import { newUnlockKey } from '../../proto/objects/unlock-key.ts';
import { WaggleError } from '../../proto/runtime/errors.ts';
import type { ReadTx } from '../store/transaction.ts';
import type { ControlApi } from './control-api.ts';
import type { ControlModules } from './control-modules.ts';
import { unexpiredRemovals } from './removed-nodes.ts';
import { renderCluster } from './render/cluster.ts';
import { outOfSequence } from './swarm-error.ts';
import { validateClusterSpec } from './validation/cluster-spec.ts';
import { CLUSTER_SHAPE, shaped } from '../../proto/objects/spec-shape.ts';

type Methods = Pick<ControlApi, 'getCluster' | 'updateCluster' | 'getUnlockKey' | 'getJoinTokens'>;
type UpdateArgs = Parameters<ControlApi['updateCluster']>[0];

/** The swarm itself. */
export class ClusterControl implements Methods {
  readonly #modules: ControlModules;

  constructor(modules: ControlModules) {
    this.#modules = modules;
  }

  async getCluster(): ReturnType<ControlApi['getCluster']> {
    return renderCluster(this.#modules.store.view(clusterOf));
  }

  async getJoinTokens(): Promise<JoinTokens> {
    return { ...this.#modules.store.view(clusterOf).JoinTokens };
  }

  /** Empty while managers are not locked, as Docker's is. */
  async getUnlockKey(): Promise<{ UnlockKey: string }> {
    return { UnlockKey: this.#modules.store.view(clusterOf).UnlockKey ?? '' };
  }

  async updateCluster(args: UpdateArgs): Promise<Record<string, never>> {
    const { store, clock, joinToken } = this.#modules;
    const given = shaped(CLUSTER_SHAPE, args.spec);
    await store.update((tx) => {
      const cluster = clusterOf(tx);
      const spec = mergedSpec(cluster.Spec, given);
      validateClusterSpec(spec, cluster.Spec);
      if (cluster.Version.Index !== args.version) throw outOfSequence();
      const root = cluster.RootCA.Certificate;
      const { UnlockKey: present, ...others } = cluster;
      const key = unlockKeyFor(spec, present, args.rotateManagerUnlockKey);
      tx.update('clusters', {
        ...others,
        ...(key === undefined ? {} : { UnlockKey: key }),
        Spec: spec,
        RemovedNodes: unexpiredRemovals(cluster, clock.now()),
        JoinTokens: {
          Worker: args.rotateWorkerToken ? joinToken(root) : cluster.JoinTokens.Worker,
          Manager: args.rotateManagerToken ? joinToken(root) : cluster.JoinTokens.Manager,
        },
      });
    });
    return {};
  }
}

/** The one row of the table. @throws WaggleError not-found before the swarm was made. */
export function clusterOf(tx: ReadTx): ClusterObject {
  for (const cluster of tx.all('clusters')) return cluster;
  throw new WaggleError('not-found', 'This node is not part of a swarm');
}

/** There is one while, and only while, managers are locked (swarmkit controlapi/cluster.go). */
function unlockKeyFor(spec: ClusterSpec, present: string | undefined, rotate: boolean): string | undefined {
  if (spec.EncryptionConfig?.AutoLockManagers !== true) return undefined;
  return present === undefined || rotate ? newUnlockKey(randomBytes) : present;
}

/** As Docker does it: what is absent or zero in the new spec stays as it was. */
function mergedSpec(present: ClusterSpec, given: ClusterSpec): ClusterSpec {
  const labels = Object.keys(given.Labels ?? {}).length > 0 ? given.Labels : present.Labels;
  return {
    ...present,
    ...given,
    Name: (given.Name ?? '') === '' ? present.Name : given.Name,
    ...(labels === undefined ? {} : { Labels: labels }),
    Orchestration: { ...present.Orchestration, ...given.Orchestration },
    Raft: withGiven(present.Raft, given.Raft),
    Dispatcher: withGiven(present.Dispatcher, given.Dispatcher),
    CAConfig: { ...withGiven(present.CAConfig, given.CAConfig), ForceRotate: given.CAConfig?.ForceRotate ?? 0 },
    EncryptionConfig: { AutoLockManagers: given.EncryptionConfig?.AutoLockManagers ?? false },
  };
}
