import { ClusterControl } from './cluster.ts';
import { ConfigControl } from './configs.ts';
import type { ControlApi } from './control-api.ts';
import type { ControlModules, ControlOptions } from './control-modules.ts';
import { DiagnosisControl } from './diagnosis.ts';
import { NetworkControl } from './networks.ts';
import { NodeControl } from './nodes.ts';
import { SecretControl } from './secrets.ts';
import { ServiceControl } from './services.ts';
import { TaskControl } from './tasks.ts';

type Args<O extends keyof ControlApi> = Parameters<ControlApi[O]>[0];

/** The control API of the manager that leads, on its own store. One class per noun does the work. */
export class Control implements ControlApi {
  readonly #cluster: ClusterControl;
  readonly #nodes: NodeControl;
  readonly #services: ServiceControl;
  readonly #tasks: TaskControl;
  readonly #networks: NetworkControl;
  readonly #diagnosis: DiagnosisControl;
  readonly #secrets: SecretControl;
  readonly #configs: ConfigControl;

  constructor(options: ControlOptions, modules: ControlModules) {
    this.#cluster = new ClusterControl(modules);
    this.#nodes = new NodeControl(options, modules);
    this.#services = new ServiceControl(modules);
    this.#tasks = new TaskControl(modules);
    this.#networks = new NetworkControl(modules);
    this.#diagnosis = new DiagnosisControl(modules);
    this.#secrets = new SecretControl(modules);
    this.#configs = new ConfigControl(modules);
  }

  getCluster(): ReturnType<ControlApi['getCluster']> {
    return this.#cluster.getCluster();
  }

  updateCluster(args: Args<'updateCluster'>): ReturnType<ControlApi['updateCluster']> {
    return this.#cluster.updateCluster(args);
  }

  getUnlockKey(): ReturnType<ControlApi['getUnlockKey']> {
    return this.#cluster.getUnlockKey();
  }

  getJoinTokens(): ReturnType<ControlApi['getJoinTokens']> {
    return this.#cluster.getJoinTokens();
  }

  listNodes(args: Args<'listNodes'>): ReturnType<ControlApi['listNodes']> {
    return this.#nodes.listNodes(args);
  }

  getNode(args: Args<'getNode'>): ReturnType<ControlApi['getNode']> {
    return this.#nodes.getNode(args);
  }

  updateNode(args: Args<'updateNode'>): ReturnType<ControlApi['updateNode']> {
    return this.#nodes.updateNode(args);
  }

  removeNode(args: Args<'removeNode'>): ReturnType<ControlApi['removeNode']> {
    return this.#nodes.removeNode(args);
  }

  listServices(args: Args<'listServices'>): ReturnType<ControlApi['listServices']> {
    return this.#services.listServices(args);
  }

  getService(args: Args<'getService'>): ReturnType<ControlApi['getService']> {
    return this.#services.getService(args);
  }

  createService(args: Args<'createService'>): ReturnType<ControlApi['createService']> {
    return this.#services.createService(args);
  }

  updateService(args: Args<'updateService'>): ReturnType<ControlApi['updateService']> {
    return this.#services.updateService(args);
  }

  removeService(args: Args<'removeService'>): ReturnType<ControlApi['removeService']> {
    return this.#services.removeService(args);
  }

  listTasks(args: Args<'listTasks'>): ReturnType<ControlApi['listTasks']> {
    return this.#tasks.listTasks(args);
  }

  getTask(args: Args<'getTask'>): ReturnType<ControlApi['getTask']> {
    return this.#tasks.getTask(args);
  }

  listNetworks(args: Args<'listNetworks'>): ReturnType<ControlApi['listNetworks']> {
    return this.#networks.listNetworks(args);
  }

  getNetwork(args: Args<'getNetwork'>): ReturnType<ControlApi['getNetwork']> {
    return this.#networks.getNetwork(args);
  }

  createNetwork(args: Args<'createNetwork'>): ReturnType<ControlApi['createNetwork']> {
    return this.#networks.createNetwork(args);
  }

  removeNetwork(args: Args<'removeNetwork'>): ReturnType<ControlApi['removeNetwork']> {
    return this.#networks.removeNetwork(args);
  }

  getNetworkCheck(args: Args<'getNetworkCheck'>): ReturnType<ControlApi['getNetworkCheck']> {
    return this.#diagnosis.getNetworkCheck(args);
  }

  getNetworkTrace(args: Args<'getNetworkTrace'>): ReturnType<ControlApi['getNetworkTrace']> {
    return this.#diagnosis.getNetworkTrace(args);
  }

  listSecrets(args: Args<'listSecrets'>): ReturnType<ControlApi['listSecrets']> {
    return this.#secrets.listSecrets(args);
  }

  getSecret(args: Args<'getSecret'>): ReturnType<ControlApi['getSecret']> {
    return this.#secrets.getSecret(args);
  }

  createSecret(args: Args<'createSecret'>): ReturnType<ControlApi['createSecret']> {
    return this.#secrets.createSecret(args);
  }

  updateSecret(args: Args<'updateSecret'>): ReturnType<ControlApi['updateSecret']> {
    return this.#secrets.updateSecret(args);
  }

  removeSecret(args: Args<'removeSecret'>): ReturnType<ControlApi['removeSecret']> {
    return this.#secrets.removeSecret(args);
  }

  listConfigs(args: Args<'listConfigs'>): ReturnType<ControlApi['listConfigs']> {
    return this.#configs.listConfigs(args);
  }

  getConfig(args: Args<'getConfig'>): ReturnType<ControlApi['getConfig']> {
    return this.#configs.getConfig(args);
  }

  createConfig(args: Args<'createConfig'>): ReturnType<ControlApi['createConfig']> {
    return this.#configs.createConfig(args);
  }

  updateConfig(args: Args<'updateConfig'>): ReturnType<ControlApi['updateConfig']> {
    return this.#configs.updateConfig(args);
  }

  removeConfig(args: Args<'removeConfig'>): ReturnType<ControlApi['removeConfig']> {
    return this.#configs.removeConfig(args);
  }
}
