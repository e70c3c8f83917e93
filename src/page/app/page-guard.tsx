/** A page that fails says so where it would stand: the frame and the other pages go on. */
import { Component, type ComponentChildren } from "preact";
import { messageOf } from "../../core/thrown.ts";
import { ProblemBox } from "./problem-box.tsx";

export class PageGuard extends Component<
  { readonly children: ComponentChildren },
  { readonly error: string | undefined }
> {
  override state = { error: undefined as string | undefined };

  override componentDidCatch(error: unknown): void {
    this.setState({ error: messageOf(error) });
    // For the browser's console. A test of the page takes it for a failure.
    console.error(error);
  }

  override render() {
    const { error } = this.state;
    if (error === undefined) return this.props.children;
    const detail = `${error}. It is a fault of the page. Nothing of the ledgers is touched by it.`;
    return <ProblemBox problem={{ status: 0, title: "This page cannot be shown", detail }} />;
  }
}
