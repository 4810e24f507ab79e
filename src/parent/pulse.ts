const INTERVAL_MS = 1000;

/** Work that is done at once and then every second, for as long as somebody wants it. */
export class Pulse {
  readonly #work: () => Promise<void>;
  #timer: NodeJS.Timeout | undefined;
  #isBusy = false;

  /** `work` never overlaps with itself; what it rejects with is tried again a second later. */
  constructor(work: () => Promise<void>) {
    this.#work = work;
  }

  set isWanted(isWanted: boolean) {
    if (isWanted === (this.#timer !== undefined)) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
    if (!isWanted) return;
    this.#timer = setInterval(() => void this.#beat(), INTERVAL_MS).unref();
    void this.#beat();
  }

  async #beat(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    await this.#work().catch(() => {});
    this.#isBusy = false;
  }
}
