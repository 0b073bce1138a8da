// Drives the API server with client-go: an informer, typed and dynamic calls, conflicts, pagination, server errors.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

func check(err error, what string) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
		os.Exit(1)
	}
}

func expect(ok bool, what string) {
	if !ok {
		fmt.Fprintf(os.Stderr, "expected: %s\n", what)
		os.Exit(1)
	}
}

// run drives one content type: JSON, or Kubernetes' protobuf.
func run(contentType, namespace string) {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	check(err, "kubeconfig")
	config.ContentType = contentType
	config.AcceptContentTypes = contentType
	config.QPS, config.Burst = 1000, 1000
	client, err := kubernetes.NewForConfig(config)
	check(err, "client")
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()

	added, changed, removed := make(chan string, 100), make(chan string, 100), make(chan string, 100)
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace))
	informer := factory.Core().V1().ConfigMaps().Informer()
	informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(o interface{}) { added <- o.(*corev1.ConfigMap).Name },
		UpdateFunc: func(_, o interface{}) { changed <- o.(*corev1.ConfigMap).Data["k"] },
		DeleteFunc: func(o interface{}) { removed <- o.(*corev1.ConfigMap).Name },
	})
	factory.Start(ctx.Done())
	expect(cache.WaitForCacheSync(ctx.Done(), informer.HasSynced), "the informer to sync")
	for len(added) > 0 {
		<-added
	}

	maps := client.CoreV1().ConfigMaps(namespace)
	created, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "go-"}, Data: map[string]string{"k": "1"}}, metav1.CreateOptions{})
	check(err, "create")
	expect(<-added == created.Name, "ADDED")
	stale := created.DeepCopy()
	created.Data["k"] = "2"
	_, err = maps.Update(ctx, created, metav1.UpdateOptions{})
	check(err, "update")
	expect(<-changed == "2", "MODIFIED")
	stale.Data["k"] = "3"
	_, err = maps.Update(ctx, stale, metav1.UpdateOptions{})
	expect(apierrors.IsConflict(err), "a conflict")
	_, err = maps.Get(ctx, "absent", metav1.GetOptions{})
	expect(apierrors.IsNotFound(err), "not found")
	check(maps.Delete(ctx, created.Name, metav1.DeleteOptions{}), "delete")
	expect(<-removed == created.Name, "DELETED")

	for i := 0; i < 25; i++ {
		_, err = maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("page-%02d", i), Labels: map[string]string{"page": "yes"}}}, metav1.CreateOptions{})
		check(err, "create page")
	}
	total, more := 0, ""
	for {
		page, err := maps.List(ctx, metav1.ListOptions{LabelSelector: "page=yes", Limit: 10, Continue: more})
		check(err, "list page")
		total += len(page.Items)
		if more = page.Continue; more == "" {
			break
		}
	}
	expect(total == 25, "25 objects over three pages")
	check(maps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "page=yes"}), "delete collection")
	left, err := maps.List(ctx, metav1.ListOptions{LabelSelector: "page=yes"})
	check(err, "list")
	expect(len(left.Items) == 0, "nothing left")

	nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	check(err, "nodes")
	expect(len(nodes.Items) == 1 && nodes.Items[0].Status.NodeInfo.KubeletVersion != "", "one node")
	_, resources, err := client.Discovery().ServerGroupsAndResources()
	check(err, "discovery")
	expect(len(resources) > 10, "discovery lists the groups")
}

func main() {
	run("application/json", os.Args[1])
	run("application/vnd.kubernetes.protobuf", os.Args[1])
	fmt.Println("ok")
}
