/** The engines that can be told to publish through sluice, and how each is told. */

export interface Engine {
  readonly name: EngineName;
  /** The user unit that its own setup tool writes. */
  readonly unit: string;
  /** Starts the engine in rootlesskit. */
  readonly script: string;
  /** What the script looks up on the PATH, in this order. */
  readonly commands: readonly [string, ...string[]];
  /** Names the port driver to the script. */
  readonly variable: string;
  /** Of rootlesskit, below XDG_RUNTIME_DIR. */
  readonly stateDir: string;
}

export const ENGINE_NAMES = ['docker', 'containerd'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

export const ENGINES: Readonly<Record<EngineName, Engine>> = {
  docker: {
    name: 'docker',
    unit: 'docker.service',
    script: 'dockerd-rootless.sh',
    commands: ['docker-rootlesskit', 'rootlesskit'],
    variable: 'DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER',
    stateDir: 'dockerd-rootless',
  },
  containerd: {
    name: 'containerd',
    unit: 'containerd.service',
    script: 'containerd-rootless.sh',
    commands: ['rootlesskit'],
    variable: 'CONTAINERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER',
    stateDir: 'containerd-rootless',
  },
};

/** What the variable is set to. */
export const PORT_DRIVER = 'sluice';
