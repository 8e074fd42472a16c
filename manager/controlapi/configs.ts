import type { ConfigSpec } from '../../proto/objects/secret.ts';
import type { ApiObject, ControlApi, Filters } from './control-api.ts';
import type { ControlModules } from './control-modules.ts';
import { createData, listData, removeData, updateDataLabels } from './data-objects.ts';
import { renderConfig } from './render/data.ts';
import { resolve } from './resolve.ts';
import { validateConfigSpec } from './validation/data-spec.ts';
import { DATA_SHAPE, shaped } from '../../proto/objects/spec-shape.ts';

type Methods = Pick<ControlApi, 'listConfigs' | 'getConfig' | 'createConfig' | 'updateConfig' | 'removeConfig'>;

const FILTER_KEYS = ['id', 'label', 'name'];

export class ConfigControl implements Methods {
  readonly #modules: ControlModules;

  constructor(modules: ControlModules) {
    this.#modules = modules;
  }

  async listConfigs({ filters }: { filters: Filters }): Promise<ApiObject[]> {
    return listData(this.#modules, 'configs', filters, FILTER_KEYS).map(renderConfig);
  }

  async getConfig({ ref }: { ref: string }): Promise<ApiObject> {
    return this.#modules.store.view((tx) => renderConfig(resolve(tx, 'configs', ref)));
  }

  async createConfig({ spec: given }: { spec: ConfigSpec }): Promise<{ ID: string }> {
    const spec = shaped(DATA_SHAPE, given);
    validateConfigSpec(spec);
    return await createData(this.#modules, 'configs', spec);
  }

  async updateConfig(args: { ref: string; version: number; spec: ConfigSpec }): Promise<Record<string, never>> {
    return await updateDataLabels(this.#modules, 'configs', { ...args, spec: shaped(DATA_SHAPE, args.spec) });
  }

  async removeConfig({ ref }: { ref: string }): Promise<Record<string, never>> {
    return await removeData(this.#modules, 'configs', ref);
  }
}
