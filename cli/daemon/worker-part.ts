import path from 'node:path';
import { Agent } from '../../worker/agent/agent.ts';
import type { SwarmFacts } from '../../worker/agent/swarm-facts.ts';
import { ContainerNames, DEFAULT_CONTAINER_NAMES_OPTIONS } from '../../worker/docker/container-names.ts';
import { DEFAULT_CONTROLLER_OPTIONS } from '../../worker/docker/container-controller.ts';
import { describeNode } from '../../worker/docker/describe-node.ts';
import { DockerExecutor } from '../../worker/docker/docker-executor.ts';
import { ImagePuller } from '../../worker/docker/image-puller.ts';
import { DEFAULT_LOCAL_NETWORKS_OPTIONS, LocalNetworks } from '../../worker/docker/local-networks.ts';
import { EndpointGossip } from '../../worker/gossip/endpoint-gossip.ts';
import { CertificateRenewer } from '../../worker/identity/certificate-renewer.ts';
import type { Identity } from '../../worker/identity/identity.ts';
import type { IdentityStore } from '../../worker/identity/identity-store.ts';
import { inventoryOf, type EngineInventory, type InspectedNetwork } from '../../worker/network/engine-inventory.ts';
import type { PluginServer } from '../../worker/network/plugin/plugin-server.ts';
import { SandboxSet } from '../../worker/network/sandbox/sandbox-set.ts';
import { WorkerNetwork } from '../../worker/network/worker-network.ts';
import type { Clock } from '../../proto/runtime/clock.ts';
import { type Startable, startAll, stopAll } from '../../proto/runtime/lifecycle.ts';
import type { Log } from '../../proto/runtime/log.ts';
import type { Random } from '../../proto/runtime/random.ts';
import type { EngineSide } from './engine-side.ts';
import type { MemberConfig } from './member-config.ts';

export const GOSSIP_PORT = 7946;
const DEFAULT_DATA_PATH_PORT = 4789;
const TWIN_OPTION = 'waggle.network';

export interface WorkerPartOptions {
  dataDir: string;
  execRoot: string;
  member: MemberConfig;
  /** Managers to begin with, host:port. */
  managers: readonly string[];
  dataPathPort?: number;
}

export interface WorkerPartModules {
  identity: Identity;
  identityStore: IdentityStore;
  engineSide: EngineSide;
  plugin: PluginServer;
  clock: Clock;
  random: Random;
  log: Log;
}
