import type { SecretSpec } from '../../proto/objects/secret.ts';
import type { ApiObject, ControlApi, Filters } from './control-api.ts';
import type { ControlModules } from './control-modules.ts';
import { createData, listData, removeData, updateDataLabels } from './data-objects.ts';
import { renderSecret } from './render/data.ts';
import { resolve } from './resolve.ts';
import { validateSecretSpec } from './validation/data-spec.ts';
import { DATA_SHAPE, shaped } from '../../proto/objects/spec-shape.ts';

type Methods = Pick<ControlApi, 'listSecrets' | 'getSecret' | 'createSecret' | 'updateSecret' | 'removeSecret'>;

const FILTER_KEYS = ['id', 'label', 'name', 'names'];

export class SecretControl implements Methods {
  readonly #modules: ControlModules;

  constructor(modules: ControlModules) {
    this.#modules = modules;
  }

  async listSecrets({ filters }: { filters: Filters }): Promise<ApiObject[]> {
    return listData(this.#modules, 'secrets', filters, FILTER_KEYS).map(renderSecret);
  }

  async getSecret({ ref }: { ref: string }): Promise<ApiObject> {
    return this.#modules.store.view((tx) => renderSecret(resolve(tx, 'secrets', ref)));
  }

  async createSecret({ spec: given }: { spec: SecretSpec }): Promise<{ ID: string }> {
    const spec = shaped(DATA_SHAPE, given);
    validateSecretSpec(spec);
    return await createData(this.#modules, 'secrets', spec);
  }

  async updateSecret(args: { ref: string; version: number; spec: SecretSpec }): Promise<Record<string, never>> {
    return await updateDataLabels(this.#modules, 'secrets', { ...args, spec: shaped(DATA_SHAPE, args.spec) });
  }

  async removeSecret({ ref }: { ref: string }): Promise<Record<string, never>> {
    return await removeData(this.#modules, 'secrets', ref);
  }
}
